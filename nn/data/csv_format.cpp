#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv_reader.h>

#include <fmt/format.h>

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
  // Each field is compared with each of them, and a format may be of a file.
  constexpr std::size_t kMostMissingTexts = 1000;
  if (format.missing_texts.size() > kMostMissingTexts)
    fail(fmt::format("{} texts say that there is no value; at most {} may", format.missing_texts.size(),
                     kMostMissingTexts));
  std::unordered_map<std::string_view, bool> names;  // and whether the column is read
  std::int64_t features = 0;
  std::int64_t targets = 0;
  const CsvColumn* classes = nullptr;
  for (const CsvColumn& c : format.columns) {
    if (c.name.empty() && c.role == ColumnRole::unused) continue;
    if (c.name.empty()) fail("a column of the format has no name");
    const bool is_read = c.role != ColumnRole::unused;
    const auto [known, is_first] = names.emplace(c.name, is_read);
    if (!is_first && (is_read || known->second))
      fail(fmt::format("the format has the column {} twice", shown(c.name)));
    if (!is_read) continue;
    const bool is_target = c.role == ColumnRole::target;
    ++(is_target ? targets : features);
    if (is_target && c.kind == ColumnKind::index) classes = &c;
    if (!std::isfinite(c.fill))
      fail(fmt::format("column {}: its fill {} is not finite", shown(c.name), c.fill));
    if (!categories) continue;
    if (const std::string fault = fault_of(c); !fault.empty())
      fail(fmt::format("column {}: {}", shown(c.name), fault));
    // "NAME=CATEGORY" takes the name again for each.
    constexpr std::size_t kMostBytes = std::size_t{1} << 26;
    if (c.name.size() > kMostBytes / std::max<std::size_t>(c.categories.size(), 1))
      fail(fmt::format("column {}: its name has {} bytes, which are too many for {} categories",
                       shown(c.name), c.name.size(), c.categories.size()));
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

}  // namespace tapegrad::nn
