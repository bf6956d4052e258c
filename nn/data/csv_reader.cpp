#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv_reader.h>
#include <tapegrad/nn/io/text.h>

#include <fmt/format.h>

namespace tapegrad::nn::csv {

using tapegrad::detail::TensorAccess;

namespace {

/// Texts for a message, as many as one can read.
std::string listed(std::span<const std::string> texts) {
  constexpr std::size_t kMost = 10;
  std::string list;
  for (const std::string& text : texts.first(std::min(texts.size(), kMost)))
    list += (list.empty() ? "" : ", ") + shown(text);
  if (texts.size() > kMost) list += fmt::format(" and {} more", texts.size() - kMost);
  return list;
}

/// Of a number that f64 cannot hold: whether it is too near to 0, and not too large. That is told by the power of ten
/// of its first digit.
bool is_small(std::string_view number) {
  const std::size_t e = std::min(number.find_first_of("eE"), number.size());
  const std::string_view mantissa = number.substr(0, e);
  const auto point = static_cast<std::int64_t>(std::min(mantissa.find('.'), mantissa.size()));
  const auto first = static_cast<std::int64_t>(mantissa.find_first_of("123456789"));
  std::string_view power = number.substr(std::min(e + 1, number.size()));
  if (power.starts_with('+')) power.remove_prefix(1);
  std::int64_t exponent = 0;
  if (std::from_chars(power.data(), power.data() + power.size(), exponent).ec ==
      std::errc::result_out_of_range)
    return power.starts_with('-');
  // Compared, not added: the sum may be beyond the integers.
  return exponent < first - point;
}

/// Whether a column becomes i64 class indices instead of elements of the dtype.
bool is_class_index(const CsvColumn& column) {
  return column.role == ColumnRole::target && column.kind == ColumnKind::index;
}

}  // namespace

bool parse_number(std::string_view text, double& number) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (at != end || error == std::errc::invalid_argument) return false;
  if (error == std::errc::result_out_of_range)
    number = is_small(text) ? 0 : std::numeric_limits<double>::infinity();
  return true;
}

std::vector<std::string> names_in(const Rows& rows) {
  std::vector<std::string> names;
  names.reserve(rows.fields().size());
  for (const Field& field : rows.fields()) {
    names.push_back(field.text());
    if (!files::is_utf8(names.back()))
      rows.fail(names.size() - 1, "", "has a name that is not UTF-8; save the file as UTF-8");
  }
  return names;
}

void require_different_names(const Rows& rows, const CsvFormat& format) {
  std::unordered_map<std::string_view, bool> read;  // and whether it has been seen
  for (const CsvColumn& c : format.columns)
    if (c.role != ColumnRole::unused) read.emplace(c.name, false);
  for (std::size_t i = 0; i < rows.fields().size(); ++i) {
    const std::string name = rows.fields()[i].text();
    const auto column = read.find(name);
    if (column != read.end() && std::exchange(column->second, true))
      rows.fail(
          i, name,
          "has the name of another column; names of columns that are read must differ. To read the table without "
          "them, name them in CsvOptions::unused; of a row of data, say that the file has no header "
          "(CsvOptions::header)");
  }
}

void Reader::find_places() {
  Rows rows(file_, text_, format_.delimiter);
  if (!rows.next()) file_.fail("holds no rows");
  const std::vector<CsvColumn>& columns = format_.columns;
  const auto is_target = [](const CsvColumn& c) { return c.role == ColumnRole::target; };
  const auto targets = static_cast<std::size_t>(std::ranges::count_if(columns, is_target));
  fields_ = rows.fields().size();
  places_.clear();
  if (!format_.header) {
    const bool whole = fields_ == columns.size();
    if (!whole && (targets == 0 || fields_ != columns.size() - targets))
      rows.fail(fmt::format(
          "has {} fields, expected the {} columns of the format{}", fields_, columns.size(),
          targets > 0 ? fmt::format(", or {} without its targets", columns.size() - targets) : ""));
    std::size_t field = 0;
    for (const CsvColumn& c : columns) {
      if (is_target(c) && !whole) continue;
      if (c.role != ColumnRole::unused) places_.push_back({field, &c});
      ++field;
    }
    return;
  }
  const std::vector<std::string> names = names_in(rows);
  require_different_names(rows, format_);
  std::unordered_map<std::string_view, std::size_t> fields;
  for (std::size_t i = 0; i < names.size(); ++i) fields.emplace(names[i], i);
  std::vector<std::string> missing;
  std::vector<std::string> missing_targets;
  for (const CsvColumn& c : columns) {
    if (c.role == ColumnRole::unused) continue;
    if (const auto found = fields.find(c.name); found != fields.end())
      places_.push_back({found->second, &c});
    else
      (is_target(c) ? missing_targets : missing).push_back(c.name);
  }
  if (missing_targets.size() < targets)
    missing.insert(missing.end(), missing_targets.begin(), missing_targets.end());
  if (!missing.empty())
    rows.fail(fmt::format("lacks the column{} {}, which the format has; the columns here are {}",
                          missing.size() > 1 ? "s" : "", listed(missing), listed(names)));
  std::ranges::sort(places_, {}, &Place::field);  // so that errors are those of the first field
}

bool Reader::is_missing(const Field& field) const {
  return !field.quoted && (field.raw.empty() || std::ranges::find(format_.missing_texts, field.raw) !=
                                                    format_.missing_texts.end());
}

std::string advice_on_missing(const CsvColumn& column) {
  std::string advice = "Missing::drop_row leaves such rows out";
  if (column.role == ColumnRole::target) return advice;
  return advice + fmt::format(", Missing::mean takes the {} of the column",
                              column.kind == ColumnKind::number ? "mean" : "most frequent category");
}

bool Reader::is_complete(const Rows& rows) const {
  const std::span<const Field> fields = rows.fields();
  if (fields.size() != fields_)
    rows.fail(fmt::format("has {} field{}, expected {} as in the first row; is {} the delimiter?",
                          fields.size(), fields.size() == 1 ? "" : "s", fields_,
                          shown({&format_.delimiter, 1})));
  bool complete = true;
  for (const Place& place : places_) {
    if (!is_missing(fields[place.field])) continue;
    if (format_.missing == Missing::error)
      rows.fail(place.field, place.column->name,
                fmt::format("has no value; {}", advice_on_missing(*place.column)));
    if (format_.missing == Missing::drop_row || place.column->role == ColumnRole::target) complete = false;
  }
  return complete;
}

double Reader::number_of(const Rows& rows, const Place& place, std::string_view advice) const {
  const std::string_view raw = rows.fields()[place.field].raw;
  double number = 0;
  const auto fail = [&](std::string_view what) {
    rows.fail(place.field, place.column->name, fmt::format("holds {}, which {}", shown(raw), what));
  };
  if (!parse_number(raw, number)) fail(fmt::format("is no number; {}", advice));
  if (std::isnan(number))
    fail("is no finite number; name it in CsvOptions::missing_texts where it says that none is known");
  const bool finite =
      format_.dtype == f32 ? std::isfinite(static_cast<float>(number)) : std::isfinite(number);
  if (!finite)
    fail(fmt::format("is no finite number of {}{}", name_of(format_.dtype),
                     std::isfinite(number) ? "; f64 has room for it" : ""));
  return number;
}

double Reader::category_of(const Rows& rows, const Place& place, const Categories& categories) const {
  const Field& field = rows.fields()[place.field];
  const auto found = field.doubled ? categories.find(field.text()) : categories.find(field.raw);
  if (found == categories.end())
    rows.fail(place.field, place.column->name,
              fmt::format("holds {}, which is no category of the format; it has {}", shown(field.text()),
                          listed(place.column->categories)));
  return static_cast<double>(found->second);
}

Table Reader::table() {
  const std::int64_t count = each_row([](const Rows&) {});
  if (count == 0)
    file_.fail(dropped_ > 0 ? fmt::format("holds no row in which no value is missing, of {} in all", dropped_)
                            : "holds no rows");
  std::vector<std::int64_t> offsets;  // of each column of the format in a row of features or targets
  std::int64_t features = 0;
  std::int64_t targets = 0;
  for (const CsvColumn& c : format_.columns) {
    std::int64_t& width = c.role == ColumnRole::target ? targets : features;
    offsets.push_back(width);
    if (c.role != ColumnRole::unused) width += c.width();
  }
  std::vector<std::unique_ptr<Categories>> categories(places_.size());  // null for numbers
  bool has_targets = false;
  bool has_classes = false;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const CsvColumn& column = *places_[i].column;
    if (column.kind != ColumnKind::number) categories[i] = std::make_unique<Categories>();
    for (std::size_t k = 0; k < column.categories.size(); ++k)
      categories[i]->emplace(column.categories[k], static_cast<std::int64_t>(k));
    has_targets |= column.role == ColumnRole::target;
    has_classes |= is_class_index(column);
  }

  Table table;
  table.lines.reserve(static_cast<std::size_t>(count));
  table.features = TensorAccess::make({count, features}, format_.dtype, "read_csv");
  if (has_classes)
    table.targets = TensorAccess::make({count}, i64, "read_csv");
  else if (has_targets)
    table.targets = TensorAccess::make({count, targets}, format_.dtype, "read_csv");
  visit_floating(format_.dtype, [&]<class T> {
    T* x = TensorAccess::data_as<T>(table.features);
    T* t = has_targets && !has_classes ? TensorAccess::data_as<T>(table.targets) : nullptr;
    auto* index = has_classes ? TensorAccess::data_as<std::int64_t>(table.targets) : nullptr;
    each_row([&](const Rows& rows) {
      table.lines.push_back(rows.line());
      for (std::size_t i = 0; i < places_.size(); ++i) {
        const CsvColumn& column = *places_[i].column;
        const double value = is_missing(rows.fields()[places_[i].field]) ? column.fill
                             : column.kind == ColumnKind::number
                                 ? number_of(rows, places_[i], "the column holds numbers in this format")
                                 : category_of(rows, places_[i], *categories[i]);
        if (is_class_index(column)) {
          *index = static_cast<std::int64_t>(value);
          continue;
        }
        T* const to = (column.role == ColumnRole::target ? t : x) +
                      offsets[static_cast<std::size_t>(&column - format_.columns.data())];
        if (column.kind == ColumnKind::one_hot) {
          std::fill_n(to, column.width(), T{0});
          to[static_cast<std::int64_t>(value)] = 1;
        } else {
          *to = static_cast<T>(value);
        }
      }
      x += features;
      if (t) t += targets;
      if (index) ++index;
    });
  });
  table.dropped = dropped_;
  return table;
}

}  // namespace tapegrad::nn::csv
