#include <algorithm>
#include <cmath>
#include <unordered_set>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv_reader.h>
#include <tapegrad/nn/data/data_files.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace tapegrad::nn {

namespace csv {

namespace {

/// Says what is wrong with a column that is read; nothing where all is well.
std::string fault_of(const CsvColumn& column) {
  if (column.kind == ColumnKind::number)
    return column.categories.empty() ? "" : "it has categories, and is of the kind number";
  if (column.categories.empty()) return "it has no categories";
  std::unordered_set<std::string_view> known;
  for (const std::string& category : column.categories)
    if (!known.insert(category).second) return fmt::format("it has the category {} twice", shown(category));
  const bool is_category = column.fill >= 0 && column.fill < static_cast<double>(column.categories.size()) &&
                           column.fill == std::floor(column.fill);
  return is_category ? "" : fmt::format("its fill {} is the number of no category", column.fill);
}

}  // namespace

void require_delimiter(char delimiter, const char* function) {
  constexpr std::string_view kRefused("\"\n\r\0", 4);
  if (kRefused.find(delimiter) != std::string_view::npos)
    throw ArgumentError(
        fmt::format("{}: {} cannot be a delimiter; it means something else in the file, or nothing", function,
                    shown({&delimiter, 1})));
}

void require_possible(const CsvFormat& format, const char* function, bool categories) {
  const auto fail = [&](const std::string& what) {
    throw ArgumentError(fmt::format("{}: {}", function, what));
  };
  require_delimiter(format.delimiter, function);
  if (format.dtype == i64) fail("dtype i64; numbers of a table are f32 or f64");
  std::unordered_set<std::string_view> names;
  std::int64_t features = 0;
  std::int64_t targets = 0;
  const CsvColumn* classes = nullptr;
  for (const CsvColumn& c : format.columns) {
    if (c.name.empty()) fail("a column of the format has no name");
    if (!names.insert(c.name).second) fail(fmt::format("the format has the column {} twice", shown(c.name)));
    if (c.role == ColumnRole::unused) continue;
    const bool is_target = c.role == ColumnRole::target;
    ++(is_target ? targets : features);
    if (is_target && c.kind == ColumnKind::index) classes = &c;
    if (!std::isfinite(c.fill))
      fail(fmt::format("column {}: its fill {} is not finite", shown(c.name), c.fill));
    if (!categories) continue;
    if (const std::string fault = fault_of(c); !fault.empty())
      fail(fmt::format("column {}: {}", shown(c.name), fault));
  }
  if (features == 0) fail("no column is left for the features");
  if (classes && targets > 1)
    fail(
        fmt::format("the target {} is a class index and must be the only target; there are {}. As one_hot it "
                    "may stand beside others",
                    shown(classes->name), targets));
}

}  // namespace csv

std::int64_t CsvColumn::width() const {
  return kind == ColumnKind::one_hot ? static_cast<std::int64_t>(categories.size()) : 1;
}

namespace {

std::vector<std::string> names_of(const std::vector<CsvColumn>& columns, ColumnRole role) {
  std::vector<std::string> names;
  for (const CsvColumn& c : columns) {
    if (c.role != role) continue;
    if (c.kind != ColumnKind::one_hot)
      names.push_back(c.name);
    else
      for (const std::string& category : c.categories) names.push_back(c.name + "=" + category);
  }
  return names;
}

using Json = nlohmann::ordered_json;

/// The names of the values of an enumeration in their order.
constexpr const char* kMissing[] = {"error", "drop_row", "mean"};
constexpr const char* kKinds[] = {"number", "one_hot", "index"};
constexpr const char* kRoles[] = {"feature", "target", "unused"};
constexpr const char* kDtypes[] = {"f32", "f64"};

template <class E, std::size_t N>
const char* name_of_value(E value, const char* const (&names)[N]) {
  return names[static_cast<std::size_t>(value)];
}
template <class E, std::size_t N>
E value_of(const Json& json, const char* const (&names)[N]) {
  const auto name = json.get<std::string>();
  const auto* const found = std::find(names, names + N, name);
  if (found == names + N)
    throw ArgumentError(fmt::format("CsvFormat::parse: the text has the value {}, expected one of {}",
                                    csv::shown(name), fmt::join(names, ", ")));
  return static_cast<E>(found - names);
}

CsvFormat from(const Json& json) {
  CsvFormat format;
  format.missing = value_of<Missing>(json.at("missing"), kMissing);
  format.missing_texts = json.at("missing_texts").get<std::vector<std::string>>();
  format.header = json.at("header").get<bool>();
  const auto delimiter = json.at("delimiter").get<std::string>();
  if (delimiter.size() != 1)
    throw ArgumentError(
        fmt::format("CsvFormat::parse: the delimiter {} is no single byte", csv::shown(delimiter)));
  format.delimiter = delimiter[0];
  format.dtype = value_of<Dtype>(json.at("dtype"), kDtypes);
  for (const Json& c : json.at("columns"))
    format.columns.push_back({c.at("name").get<std::string>(), value_of<ColumnRole>(c.at("role"), kRoles),
                              value_of<ColumnKind>(c.at("kind"), kKinds),
                              c.at("categories").get<std::vector<std::string>>(),
                              c.at("fill").get<double>()});
  csv::require_possible(format, "CsvFormat::parse");
  return format;
}

}  // namespace

std::vector<std::string> CsvFormat::feature_names() const { return names_of(columns, ColumnRole::feature); }

std::vector<std::string> CsvFormat::target_names() const { return names_of(columns, ColumnRole::target); }

const std::vector<std::string>& CsvFormat::classes() const {
  static const std::vector<std::string> none;
  const CsvColumn* target = nullptr;
  for (const CsvColumn& c : columns) {
    if (c.role != ColumnRole::target) continue;
    if (target) return none;
    target = &c;
  }
  return target ? target->categories : none;
}

std::string CsvFormat::text() const {
  csv::require_possible(*this, "CsvFormat::text");
  Json json{{"missing", name_of_value(missing, kMissing)},
            {"missing_texts", missing_texts},
            {"header", header},
            {"delimiter", std::string(1, delimiter)},
            {"dtype", name_of_value(dtype, kDtypes)}};
  Json& list = json["columns"] = Json::array();
  for (const CsvColumn& c : columns)
    list.push_back({{"name", c.name},
                    {"role", name_of_value(c.role, kRoles)},
                    {"kind", name_of_value(c.kind, kKinds)},
                    {"categories", c.categories},
                    {"fill", c.fill}});
  try {
    return json.dump();
  } catch (const Json::exception& e) {
    throw ArgumentError(fmt::format("CsvFormat::text: a text is not UTF-8: {}", e.what()));
  }
}

CsvFormat CsvFormat::parse(std::string_view text) {
  return files::reading("CsvFormat::parse", "a format", [&] {
    try {
      return from(Json::parse(text));
    } catch (const Json::exception& e) {
      throw ArgumentError(
          fmt::format("CsvFormat::parse: {} is no format of a table: {}", csv::shown(text), e.what()));
    }
  });
}

}  // namespace tapegrad::nn
