#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/csv.h>
#include <tapegrad/nn/data/csv_reader.h>
#include <tapegrad/nn/data/data_files.h>
#include <tapegrad/nn/io/text.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

using csv::Place;
using csv::Reader;
using csv::Rows;
using csv::shown;

[[noreturn]] void throw_no_column(const std::vector<CsvColumn>& columns, const ColumnRef& ref,
                                  const char* option, const std::string& path) {
  std::string names;
  constexpr std::size_t kMost = 20;
  for (const CsvColumn& c : std::span(columns).first(std::min(columns.size(), kMost)))
    names += (names.empty() ? "" : ", ") + shown(c.name);
  throw ArgumentError(fmt::format("read_csv: {} names the column {}, which '{}' does not have; it has {}{}",
                                  option, shown(ref.name), path, names,
                                  columns.size() > kMost ? ", ..." : ""));
}

/// Where the column stands that an option names.
std::size_t find(const std::vector<CsvColumn>& columns, const ColumnRef& ref, const char* option,
                 const std::string& path) {
  const auto count = static_cast<std::int64_t>(columns.size());
  if (!ref.name.empty()) {
    const auto found = std::ranges::find(columns, ref.name, &CsvColumn::name);
    if (found != columns.end()) return static_cast<std::size_t>(found - columns.begin());
    if (ref.number == 0) throw_no_column(columns, ref, option, path);
  }
  const std::int64_t at = ref.number > 0 ? ref.number - 1 : count + ref.number;
  if (ref.number == 0 || at < 0 || at >= count)
    throw ArgumentError(fmt::format(
        "read_csv: {} names the column {}; the {} columns of '{}' are 1 ... {}, or -1 from the end", option,
        ref.number, count, path, count));
  return static_cast<std::size_t>(at);
}

/// The columns with what the options say of them; categories are still to be learnt.
CsvFormat format_of(const CsvOptions& o, std::vector<CsvColumn> columns, const std::string& path) {
  std::vector<const char*> roles(columns.size());
  std::vector<const char*> kinds(columns.size());
  const auto each = [&](const std::vector<ColumnRef>& refs, const char* option,
                        std::vector<const char*>& named_by, auto&& set) {
    for (const ColumnRef& ref : refs) {
      const std::size_t first = find(columns, ref, option, path);
      for (std::size_t at = first; at < columns.size(); ++at) {
        // A name stands for all columns that have it.
        if (at != first && (ref.name.empty() || columns[at].name != ref.name)) continue;
        if (named_by[at])
          throw ArgumentError(fmt::format("read_csv: the column {} is named by {} and by {}",
                                          shown(columns[at].name), named_by[at], option));
        named_by[at] = option;
        set(columns[at]);
      }
    }
  };
  each(o.targets, "targets", roles, [](CsvColumn& c) { c.role = ColumnRole::target; });
  each(o.unused, "unused", roles, [](CsvColumn& c) { c.role = ColumnRole::unused; });
  each(o.one_hot, "one_hot", kinds, [](CsvColumn& c) { c.kind = ColumnKind::one_hot; });
  each(o.index, "index", kinds, [](CsvColumn& c) { c.kind = ColumnKind::index; });
  return {std::move(columns), o.missing, o.missing_texts, o.header, o.delimiter, o.dtype};
}

/// What the rows say of a column.
struct Learnt {
  double mean = 0;
  double least = 0, largest = 0;
  double rounding = 0;     ///< the most that f32 rounds one by
  std::int64_t count = 0;  ///< of values
  std::unique_ptr<std::map<std::string, std::int64_t, std::less<>>>
      categories{};  ///< and how often each occurs
};

void add_category(Learnt& learnt, const Rows& rows, const Place& place, std::int64_t most_categories) {
  const csv::Field& field = rows.fields()[place.field];
  if (!learnt.categories)
    learnt.categories = std::make_unique<std::map<std::string, std::int64_t, std::less<>>>();
  auto& known = *learnt.categories;
  std::string unescaped;
  if (field.doubled) unescaped = field.text();
  const std::string_view text = field.doubled ? std::string_view(unescaped) : field.raw;
  if (const auto found = known.find(text); found != known.end()) {
    ++found->second;
    return;
  }
  const auto& [category, times] = *known.emplace(text, 1).first;
  if (!files::is_utf8(category))
    rows.fail(place.field, place.column->name, "holds a text that is not UTF-8; save the file as UTF-8");
  if (place.column->kind == ColumnKind::one_hot && known.size() > static_cast<std::size_t>(most_categories))
    rows.fail(
        place.field, place.column->name,
        fmt::format("holds {}, the category number {} of the column: one_hot makes a column of each. Read "
                    "it by index, leave it unused, or raise most_categories",
                    shown(category), known.size()));
}

/// Numbers that lie close together far from 0, as times do, would be rounded to a few in f32: what is learnt from would
/// not be what the file says.
void require_resolution(const CsvColumn& column, const Learnt& learnt, Dtype dtype, const InputFile& file) {
  constexpr double kMost = 1e-3;  // of what lies between the least and the largest
  const double range = learnt.largest - learnt.least;
  if (dtype != f32 || range == 0 || learnt.rounding <= kMost * range) return;
  file.fail(fmt::format(
      "has numbers from {:.17g} to {:.17g} in the column {}, which f32 rounds by up to {:.2g}; subtract from them "
      "what they have in common, or read them as f64 by CsvOptions::dtype",
      learnt.least, learnt.largest, shown(column.name), learnt.rounding));
}

/// Puts what was learnt into the column.
void conclude(CsvColumn& column, Learnt& learnt) {
  column.fill = learnt.mean;
  if (!learnt.categories) return;
  struct Category {
    std::string text;
    std::int64_t times;
    double number = 0;
  };
  std::vector<Category> sorted;
  sorted.reserve(learnt.categories->size());
  bool all_numbers = true;
  while (!learnt.categories->empty()) {  // moved one by one: there may be as many as rows
    auto node = learnt.categories->extract(learnt.categories->begin());
    Category& c = sorted.emplace_back(Category{std::move(node.key()), node.mapped()});
    all_numbers = all_numbers && csv::parse_number(c.text, c.number) && !std::isnan(c.number);
  }
  if (all_numbers) std::ranges::stable_sort(sorted, {}, &Category::number);
  const auto most = std::ranges::max_element(sorted, {}, &Category::times);
  column.fill = static_cast<double>(most - sorted.begin());
  column.categories.reserve(sorted.size());
  for (Category& c : sorted) column.categories.push_back(std::move(c.text));
}

void learn(CsvFormat& format, Reader& reader, const InputFile& file, std::int64_t most_categories) {
  constexpr const char* kAdvice =
      "name a column of categories in CsvOptions::one_hot or index, one that is not to be read in "
      "CsvOptions::unused, a text that says that there is no value in CsvOptions::missing_texts";
  std::vector<Learnt> learnt(reader.places().size());
  const std::int64_t rows_read = reader.each_row([&](const Rows& rows) {
    for (std::size_t i = 0; i < learnt.size(); ++i) {
      const Place& place = reader.places()[i];
      if (reader.is_missing(rows.fields()[place.field])) continue;
      Learnt& l = learnt[i];
      ++l.count;
      if (place.column->kind != ColumnKind::number) {
        add_category(l, rows, place, most_categories);
        continue;
      }
      // A running mean, in which nothing grows beyond the numbers themselves.
      const auto n = static_cast<double>(l.count);
      const double number = reader.number_of(rows, place, kAdvice);
      l.mean += number / n - l.mean / n;
      l.least = l.count == 1 ? number : std::fmin(l.least, number);
      l.largest = l.count == 1 ? number : std::fmax(l.largest, number);
      l.rounding = std::fmax(l.rounding, std::abs(number - static_cast<double>(static_cast<float>(number))));
    }
  });
  if (rows_read == 0) return;  // which the reader refuses
  for (std::size_t i = 0; i < learnt.size(); ++i) {
    CsvColumn& column = format.columns[reader.places()[i].field];
    if (learnt[i].count == 0)
      file.fail(fmt::format("has no value in any row of the column {}; name it in CsvOptions::unused",
                            shown(column.name)));
    require_resolution(column, learnt[i], format.dtype, file);
    conclude(column, learnt[i]);
  }
}

/// Whether numbers name columns, and are no row of data: 0, 1, ... or 1, 2, ..., as other tools number them, or three or
/// more that rise, or are whole and fall, as years and wavelengths do.
bool are_names(const std::vector<double>& numbers) {
  if (numbers.size() < 2) return false;
  const auto next = [](double a, double b) { return b == a + 1; };
  if ((numbers[0] == 0 || numbers[0] == 1) &&
      std::ranges::adjacent_find(numbers, std::not_fn(next)) == numbers.end())
    return true;
  const bool whole = std::ranges::all_of(numbers, [](double v) { return v == std::floor(v); });
  const auto rises = [](double a, double b) { return a < b; };
  const auto falls = [](double a, double b) { return a > b; };
  return numbers.size() > 2 &&
         (std::ranges::adjacent_find(numbers, std::not_fn(rises)) == numbers.end() ||
          (whole && std::ranges::adjacent_find(numbers, std::not_fn(falls)) == numbers.end()));
}

/// Throws FileError where a column that is read has no name, and where the names of those that hold numbers are numbers
/// themselves and look like data.
void require_header(const CsvFormat& format, const Rows& first) {
  std::vector<double> numbers;
  std::size_t columns = 0;  // of numbers
  for (std::size_t i = 0; i < format.columns.size(); ++i) {
    const CsvColumn& c = format.columns[i];
    if (c.role == ColumnRole::unused) continue;
    if (c.name.empty())
      first.fail(
          i, "",
          "has no name; name it, leave it out by its number in CsvOptions::unused, or say that the file "
          "has no header (CsvOptions::header)");
    if (c.kind != ColumnKind::number) continue;
    ++columns;
    if (double number = 0; csv::parse_number(c.name, number)) numbers.push_back(number);
  }
  if (columns > 0 && numbers.size() == columns && !are_names(numbers))
    first.fail(
        "has numbers as the names of all columns of numbers, and will be data; say that the file has no header "
        "(CsvOptions::header), or give it one");
}

Table read(const std::string& path, const CsvOptions& options) {
  InputFile file(path);
  const std::string text = csv::content_of(file);
  Rows first(file, text, options.delimiter);
  if (!first.next()) file.fail("holds no rows");
  std::vector<std::string> names;
  if (options.header) names = csv::names_in(first);
  std::vector<CsvColumn> columns(first.fields().size());
  for (std::size_t i = 0; i < columns.size(); ++i)
    columns[i].name = options.header ? std::move(names[i]) : fmt::format("column {}", i + 1);

  CsvFormat format = format_of(options, std::move(columns), path);
  if (options.header) {
    require_header(format, first);
    csv::require_different_names(first, format);
  }
  csv::require_possible(format, "read_csv", false);
  std::vector<Place> places;
  for (std::size_t i = 0; i < format.columns.size(); ++i)
    if (format.columns[i].role != ColumnRole::unused) places.push_back({i, &format.columns[i]});
  Reader reader(file, text, format);
  reader.set_places(std::move(places), format.columns.size());
  learn(format, reader, file, options.most_categories);
  Table table = reader.table();
  table.format = std::move(format);
  return table;
}

}  // namespace

Table read_csv(const std::string& path, const CsvOptions& options) {
  if (options.most_categories < 1)
    throw ArgumentError(
        fmt::format("read_csv: most_categories {}; there must be at least one", options.most_categories));
  csv::require_delimiter(options.delimiter, "read_csv");
  return files::reading("read_csv", path, [&] { return read(path, options); });
}

Table CsvFormat::read(const std::string& path) const {
  csv::require_possible(*this, "CsvFormat::read");
  return files::reading("CsvFormat::read", path, [&] {
    InputFile file(path);
    const std::string text = csv::content_of(file);
    Reader reader(file, text, *this);
    reader.find_places();
    Table table = reader.table();
    table.format = *this;
    return table;
  });
}

Dataset Table::dataset() const {
  if (!targets.defined())
    throw ArgumentError("dataset: the table has no targets; name them in CsvOptions::targets");
  return {features, targets, static_cast<std::int64_t>(format.classes().size())};
}

}  // namespace tapegrad::nn
