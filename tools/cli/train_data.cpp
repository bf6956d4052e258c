#include "train_data.h"

#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/text.h>
#include <tapegrad/ops/ops.h>

#include <fmt/format.h>

#include "program.h"
#include "table_words.h"

namespace tapegrad::cli {

namespace {

/// A column as it was typed: its name, or where none has it, a whole number counts columns.
nn::ColumnRef column_of(const std::string& text) {
  nn::ColumnRef column(text);
  column.number = nn::files::number_in<std::int64_t>(text).value_or(0);
  return column;
}

std::vector<nn::ColumnRef> columns_of(const std::vector<std::string>& texts) {
  std::vector<nn::ColumnRef> columns;
  for (const std::string& text : texts) columns.push_back(column_of(text));
  return columns;
}

nn::CsvOptions csv_options(const DataOptions& o) {
  nn::CsvOptions csv{.targets = columns_of(o.targets),
                     .one_hot = columns_of(o.one_hot),
                     .unused = columns_of(o.unused),
                     .header = !o.no_header};
  if (o.task == "classification") {
    if (o.targets.size() != 1)
      throw ArgumentError(
          fmt::format("--target: {} columns; --task classification has one", o.targets.size()));
    csv.index = csv.targets;
  }
  csv.missing = o.missing == "drop-row" ? nn::Missing::drop_row
                : o.missing == "mean"   ? nn::Missing::mean
                                        : nn::Missing::error;
  const std::string delimiter = o.delimiter == "tab" ? "\t" : o.delimiter;
  if (delimiter.size() != 1)
    throw ArgumentError(fmt::format("--delimiter {}: it must be one character, or tab", o.delimiter));
  csv.delimiter = delimiter[0];
  return csv;
}

/// Targets in units of their standard deviation: the loss is the share of their variance that is not explained.
nn::Objective objective_in(const Tensor& unit) {
  const auto loss = [unit](const Tensor& y, const Tensor& t) { return mse_loss(y / unit, t / unit); };
  return nn::Objective(loss, [loss](const Tensor& y, const Tensor& t) { return 1 - loss(y, t).item(); });
}

void require_targets(const DataOptions& o, const nn::Table& table, const char* option,
                     const std::string& path) {
  if (!table.targets.defined())
    throw ArgumentError(fmt::format("{}: '{}' lacks the target{} {}", option, path,
                                    o.targets.size() > 1 ? "s" : "", fmt::join(o.targets, ", ")));
}

/// A run that goes on finds the columns by their names, and categories by theirs, wherever they now stand.
nn::Table read_table(const DataOptions& o, const std::optional<nn::CsvFormat>& of_run) {
  nn::Table table = read_in_words_of_command(
      [&] { return of_run ? of_run->read(o.csv) : nn::read_csv(o.csv, csv_options(o)); });
  require_targets(o, table, "--csv", o.csv);
  return table;
}

nn::Table read_test_table(const DataOptions& o, const nn::CsvFormat& format) {
  nn::Table table = read_in_words_of_command([&] { return format.read(o.test_csv); });
  require_targets(o, table, "--test-csv", o.test_csv);
  return table;
}

/// Numbers for regression; for classification categories, of which some are to be told from others.
void require_fitting_targets(const DataOptions& o, const nn::CsvFormat& format) {
  if (o.task == "classification" && format.classes().size() == 1)
    throw ArgumentError(
        fmt::format("--task classification: the target '{}' has one category, '{}', in all rows: there is "
                    "nothing to learn",
                    o.targets.front(), format.classes().front()));
  if (o.task == "classification") return;
  for (const nn::CsvColumn& column : format.columns)
    if (column.role == nn::ColumnRole::target && column.kind != nn::ColumnKind::number)
      throw ArgumentError(
          fmt::format("--one-hot: '{}' is a target, and --task regression predicts numbers; --task "
                      "classification predicts categories",
                      column.name));
}

/// Of a single value the variance is 0, in which errors are measured.
void require_varying_targets(const nn::CsvFormat& format, const Tensor& t) {
  const std::vector<std::string> names = format.target_names();
  for (std::size_t k = 0; k < names.size(); ++k) {
    const Tensor values = select(t, 1, static_cast<std::int64_t>(k));
    if (const double value = min(values).item(); max(values).item() == value)
      throw ArgumentError(fmt::format(
          "--task regression: the target '{}' is {} in all rows to train on: there is nothing to learn",
          names[k], value));
  }
}

TrainData load_table(const DataOptions& o, std::uint64_t seed, const std::optional<nn::CsvFormat>& of_run) {
  nn::Table table = read_table(o, of_run);
  require_fitting_targets(o, table.format);
  TrainData data{.items = "rows"};
  if (o.test_csv.empty()) {
    const nn::Dataset all = table.dataset();
    const auto held_out = std::llround(o.test * static_cast<double>(all.size()));
    if (!(o.test > 0 && o.test < 1) || held_out == 0 || held_out == all.size())
      throw ArgumentError(fmt::format("--test {}: of {} rows that is {}; some must be left for either",
                                      o.test, all.size(), held_out));
    const nn::Dataset::Split split = all.split(held_out, seed);
    data.train = split.training;
    data.test = split.validation;
  } else {
    data.train = table.dataset();
    data.test = read_test_table(o, table.format).dataset();
  }
  if (o.task == "classification") {
    data.outputs = data.train.classes();
    // Numbers of rows, say, which would be a network of as many outputs.
    constexpr std::int64_t kMostClasses = 10'000;
    if (data.outputs > kMostClasses)
      throw ArgumentError(
          fmt::format("--task classification: the target '{}' has {} categories in {} rows; up to {} are "
                      "learnt as classes. Numbers are learnt with --task regression",
                      o.targets.front(), data.outputs, data.train.size() + data.test.size(), kMostClasses));
  } else {
    const Tensor t = data.train.batch(0, data.train.size()).t;
    require_varying_targets(table.format, t);
    data.outputs = t.dim(1);
    data.units = nn::input_statistics(nn::Dataset(t, t));
    data.objective = objective_in(data.units->stddev);
    data.loss = "squared error / variance";
    data.metric = "r2";
  }
  data.format = std::move(table.format);
  return data;
}

}  // namespace

void DataOptions::add_to(CLI::App& c) {
  CLI::Option* const images =
      c.add_option("--data", folder, "Folder of the four IDX files")->check(not_empty());
  CLI::Option* const table =
      c.add_option("--csv", csv,
                   "Table to learn from, in place of images: comma-separated values with a header. "
                   "Its features are standardised, each by itself")
          ->check(not_empty())
          ->excludes(images);
  c.add_option("--target", targets,
               "Columns to be predicted: names, or numbers (the first is 1, the last -1)")
      ->delimiter(',')
      ->needs(table);
  c.add_option(
       "--task", task,
       "classification: one target, of categories; regression: targets of numbers. There the loss is the "
       "mean squared error in units of the targets' variance, and r2 what is left of 1")
      ->check(CLI::IsMember({"classification", "regression"}))
      ->needs(table);
  c.add_option("--one-hot", one_hot, "Columns of categories among the features")
      ->delimiter(',')
      ->needs(table);
  c.add_option("--unused", unused, "Columns that are not read")->delimiter(',')->needs(table);
  c.add_option("--missing", missing,
               "Rows that lack a value: error, drop-row, or mean (of the column; the most frequent category)")
      ->check(CLI::IsMember({"error", "drop-row", "mean"}))
      ->needs(table);
  c.add_option("--delimiter", delimiter, "Between the values: one character, or tab")->needs(table);
  c.add_flag("--no-header", no_header, "The first row of the table is data")->needs(table);
  CLI::Option* const share =
      c.add_option("--test", test, "Share of the rows that is not learnt from, but tested on; default 0.2")
          ->check(above(0))
          ->needs(table);
  c.add_option("--test-csv", test_csv, "Table to test on, in place of a share of the rows")
      ->check(not_empty())
      ->excludes(share);
}

TrainData load_data(const DataOptions& o, bool takes_images, std::uint64_t seed,
                    const std::optional<nn::CsvFormat>& of_run) {
  if (o.is_table()) return load_table(o, seed, of_run);
  nn::Mnist mnist = nn::load_mnist(o.folder, {.flatten = !takes_images});
  TrainData data{.train = std::move(mnist.train), .test = std::move(mnist.test)};
  data.outputs = data.train.classes();
  return data;
}

}  // namespace tapegrad::cli
