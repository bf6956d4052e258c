#include <algorithm>
#include <cstddef>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv_reader.h>
#include <tapegrad/nn/data/data_files.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

// Formats as texts in JSON. They are written and read token by token: a tree of the JSON library ends the process where
// memory runs out while it is given back.
namespace tapegrad::nn {

namespace {

using Json = nlohmann::json;

/// The names of the values of an enumeration in their order.
constexpr const char* kMissing[] = {"error", "drop_row", "mean"};
constexpr const char* kKinds[] = {"number", "one_hot", "index"};
constexpr const char* kRoles[] = {"feature", "target", "unused"};
constexpr const char* kDtypes[] = {"f32", "f64"};

/// What the text and each of its columns name, once.
constexpr const char* kOfFormat[] = {"missing", "missing_texts", "header", "delimiter", "dtype", "columns"};
constexpr const char* kOfColumn[] = {"name", "role", "kind", "categories", "fill"};

template <class E>
const char* name_of_value(E value, std::span<const char* const> names) {
  return names[static_cast<std::size_t>(value)];
}

std::string quoted(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    throw ArgumentError(fmt::format("CsvFormat::text: the text {} is not UTF-8", csv::shown(text)));
  }
}

std::string list_of(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ",") + quoted(text);
  return "[" + list + "]";
}

[[noreturn]] void refuse(const std::string& what) {
  throw ArgumentError(fmt::format("CsvFormat::parse: the text is no format of a table: {}", what));
}

class Parser : public nlohmann::json_sax<Json> {
 public:
  CsvFormat take() && { return std::move(format_); }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) {
      place_ = Place::format;
    } else if (place_ == Place::columns) {
      place_ = Place::column;
      format_.columns.emplace_back();
      given_column_ = 0;
    } else {
      unexpected("an object");
    }
    return true;
  }
  bool end_object() override {
    const bool whole = place_ == Place::format;
    require_all(whole ? std::span(kOfFormat) : std::span<const char* const>(kOfColumn),
                whole ? given_format_ : given_column_);
    place_ = whole ? Place::end : Place::columns;
    return true;
  }
  bool start_array(std::size_t) override {
    if (is(Place::format, "missing_texts"))
      place_ = Place::missing_texts;
    else if (is(Place::format, "columns"))
      place_ = Place::columns;
    else if (is(Place::column, "categories"))
      place_ = Place::categories;
    else
      unexpected("a list");
    return true;
  }
  bool end_array() override {
    place_ = place_ == Place::categories ? Place::column : Place::format;
    key_.clear();
    return true;
  }
  bool key(std::string& text) override {
    const bool of_format = place_ == Place::format;
    const auto known = of_format ? std::span(kOfFormat) : std::span<const char* const>(kOfColumn);
    unsigned& given = of_format ? given_format_ : given_column_;
    const auto at = static_cast<unsigned>(std::ranges::find(known, std::string_view(text)) - known.begin());
    if (at == known.size() || (given >> at & 1U) != 0)
      refuse(fmt::format("it has the name {}, unknown or given twice", csv::shown(text)));
    given |= 1U << at;
    key_ = text;
    return true;
  }
  bool string(std::string& text) override {
    if (place_ == Place::missing_texts)
      format_.missing_texts.push_back(text);
    else if (place_ == Place::categories)
      format_.columns.back().categories.push_back(text);
    else if (is(Place::format, "missing"))
      format_.missing = value_of<Missing>(text, kMissing);
    else if (is(Place::format, "dtype"))
      format_.dtype = value_of<Dtype>(text, kDtypes);
    else if (is(Place::format, "delimiter"))
      set_delimiter(text);
    else if (is(Place::column, "name"))
      format_.columns.back().name = text;
    else if (is(Place::column, "role"))
      format_.columns.back().role = value_of<ColumnRole>(text, kRoles);
    else if (is(Place::column, "kind"))
      format_.columns.back().kind = value_of<ColumnKind>(text, kKinds);
    else
      unexpected("a text");
    return true;
  }
  bool boolean(bool value) override {
    if (!is(Place::format, "header")) unexpected("a truth value");
    format_.header = value;
    return true;
  }
  bool number_integer(std::int64_t value) override { return number(static_cast<double>(value)); }
  bool number_unsigned(std::uint64_t value) override { return number(static_cast<double>(value)); }
  bool number_float(double value, const std::string&) override { return number(value); }
  bool null() override { unexpected("null"); }
  bool binary(Json::binary_t&) override { unexpected("binary data"); }
  bool parse_error(std::size_t, const std::string&, const Json::exception& e) override { refuse(e.what()); }

 private:
  enum class Place : std::uint8_t { start, format, missing_texts, columns, column, categories, end };

  bool is(Place place, std::string_view key) const { return place_ == place && key_ == key; }
  [[noreturn]] void unexpected(const char* what) const {
    refuse(fmt::format("{} is the value of {}", what, key_.empty() ? "nothing" : csv::shown(key_)));
  }
  static void require_all(std::span<const char* const> names, unsigned given) {
    for (std::size_t i = 0; i < names.size(); ++i)
      if ((given >> i & 1U) == 0) refuse(fmt::format("it lacks '{}'", names[i]));
  }
  template <class E>
  static E value_of(const std::string& text, std::span<const char* const> names) {
    const auto found = std::ranges::find(names, std::string_view(text));
    if (found == names.end())
      refuse(
          fmt::format("it has the value {}, expected one of {}", csv::shown(text), fmt::join(names, ", ")));
    return static_cast<E>(found - names.begin());
  }
  void set_delimiter(const std::string& text) {
    if (text.size() != 1) refuse(fmt::format("the delimiter {} is no single byte", csv::shown(text)));
    format_.delimiter = text[0];
  }
  bool number(double value) {
    if (!is(Place::column, "fill")) unexpected("a number");
    format_.columns.back().fill = value;
    return true;
  }

  CsvFormat format_;
  Place place_ = Place::start;
  std::string key_;
  unsigned given_format_ = 0;
  unsigned given_column_ = 0;
};

}  // namespace

std::string CsvFormat::text() const {
  csv::require_possible(*this, "CsvFormat::text");
  std::string list;
  for (const CsvColumn& c : columns)
    list += fmt::format(R"({}{{"name":{},"role":"{}","kind":"{}","categories":{},"fill":{}}})",
                        list.empty() ? "" : ",", quoted(c.name), name_of_value(c.role, kRoles),
                        name_of_value(c.kind, kKinds), list_of(c.categories), c.fill);
  return fmt::format(
      R"({{"missing":"{}","missing_texts":{},"header":{},"delimiter":{},"dtype":"{}","columns":[{}]}})",
      name_of_value(missing, kMissing), list_of(missing_texts), header, quoted(std::string(1, delimiter)),
      name_of_value(dtype, kDtypes), list);
}

CsvFormat CsvFormat::parse(std::string_view text) {
  return files::reading("CsvFormat::parse", "a format", [&] {
    Parser parser;
    Json::sax_parse(text, &parser);
    CsvFormat format = std::move(parser).take();
    csv::require_possible(format, "CsvFormat::parse");
    return format;
  });
}

}  // namespace tapegrad::nn
