#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/nn/io/file.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "commands.h"
#include "program.h"
#include "run_folder.h"
#include "saved_model.h"
#include "table_words.h"

namespace tapegrad::cli {

namespace {

struct PredictOptions {
  std::string run;
  bool best = false;
  std::string csv;
  std::string images;
  std::string out;
  int threads = 1;
};

/// A field as CSV has it: within quotes where it could be taken for something else.
std::string field_of(const std::string& text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string::npos && text.front() != ' ' &&
      text.back() != ' ')
    return text;
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? "\"\"" : std::string(1, c);
  return field + "\"";
}

/// What is predicted for, and what each line of the result starts with.
struct Inputs {
  nn::Dataset items;
  std::string heading;
  std::vector<std::int64_t> numbers;
};

Inputs rows_of(const PredictOptions& o, const SavedModel& saved) {
  if (!saved.format) throw ArgumentError("--csv: the network was trained on images; give --images");
  // What the file says of the targets does not count, also where it says nothing.
  nn::CsvFormat format = *saved.format;
  for (nn::CsvColumn& c : format.columns)
    if (format.header && c.role == nn::ColumnRole::target) c.role = nn::ColumnRole::unused;
  nn::Table table = read_in_words_of_command([&] { return format.read(o.csv); }, "train ");
  return {nn::Dataset(table.features, table.features), "line", std::move(table.lines)};
}

Inputs images_of(const PredictOptions& o, const SavedModel& saved) {
  if (saved.format) throw ArgumentError("--images: the network was trained on a table; give --csv");
  nn::IdxArray images = nn::read_idx(o.images);
  const Shape shape = images.shape;
  const Shape& item = saved.item;  // of images in their places, or as vectors
  if (item.rank() == 1) {
    std::int64_t pixels = 0;
    if (shape.rank() != 3 || __builtin_mul_overflow(shape[1], shape[2], &pixels) || pixels != item.size())
      throw FileError(fmt::format("'{}' holds {}, expected images [n, rows, columns] of {} pixels", o.images,
                                  to_string(shape), item.size()));
  } else if (item.rank() != 3 || item[0] != 1) {
    throw ArgumentError(fmt::format(
        "--images: the network takes items of {}; IDX files hold images of one channel", to_string(item)));
  } else if (shape.rank() != 3 || shape[1] != item[1] || shape[2] != item[2]) {
    throw FileError(fmt::format("'{}' holds {}, expected images [n, {}, {}]", o.images, to_string(shape),
                                item[1], item[2]));
  }
  const nn::IdxArray labels{{shape[0]}, std::vector<std::uint8_t>(static_cast<std::size_t>(shape[0]))};
  Inputs inputs{nn::Dataset(std::move(images), labels, {.flatten = saved.item.rank() == 1}), "image", {}};
  for (std::int64_t i = 0; i < shape[0]; ++i) inputs.numbers.push_back(i);
  return inputs;
}

/// The lines of the result, one for each item.
std::string predictions(const SavedModel& saved, const Inputs& inputs) {
  const std::vector<std::string> classes =
      saved.format ? saved.format->classes() : std::vector<std::string>();
  const bool numbers = saved.format && classes.empty();
  std::string text = inputs.heading;
  if (numbers)
    for (const std::string& name : saved.format->target_names()) text += "," + field_of(name);
  else
    text +=
        fmt::format(",{},probability", saved.format ? field_of(saved.format->target_names()[0]) : "class");
  text += '\n';
  std::size_t item = 0;
  for (const nn::Batch& batch : nn::in_order(inputs.items, nn::kEvaluationBatch)) {
    const Tensor out = (*saved.model.net)(batch.x);
    const Tensor y = numbers ? out : softmax(out);
    const std::span<const float> values = y.values<float>();
    const auto width = static_cast<std::size_t>(y.dim(1));
    for (std::size_t at = 0; at < values.size(); at += width) {
      const std::span<const float> row = values.subspan(at, width);
      text += fmt::format("{}", inputs.numbers[item++]);
      if (numbers) {
        for (const float v : row) text += fmt::format(",{}", v);
      } else {
        const auto best = std::ranges::max_element(row);
        const auto index = static_cast<std::size_t>(best - row.begin());
        text += fmt::format(",{},{:.4f}",
                            classes.empty() ? fmt::format("{}", index) : field_of(classes[index]), *best);
      }
      text += '\n';
    }
  }
  return text;
}

void predict(const PredictOptions& o) {
  set_threads(o.threads);
  const std::string parameters = parameters_file(o.run, o.best);
  require_other_file("--out", o.out, {parameters, o.csv, o.images});
  if (RunFolder::is_of_run(o.run, o.out))
    throw ArgumentError(
        fmt::format("--out: '{}' is of the run, and would be lost; name another file", o.out));
  const SavedModel saved = load_model(parameters);
  const Inputs inputs = o.csv.empty() ? images_of(o, saved) : rows_of(o, saved);
  nn::AtomicFile file(o.out);
  file.write(predictions(saved, inputs));
  file.commit();
  fmt::print(beside(o.out), "{}: predictions of {} {} are in {}\n", saved.model.description,
             inputs.items.size(), o.csv.empty() ? "images" : "rows", written_name(o.out));
}

}  // namespace

void add_predict_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PredictOptions>();
  PredictOptions& o = *options;
  CLI::App& c = *app.add_subcommand("predict", "Predict by a network that train has saved");
  c.add_option("--run", o.run, "Folder that train has written, its --out")->check(not_empty())->required();
  c.add_flag("--best", o.best, "By the parameters of the best epoch");
  CLI::Option* const table =
      c.add_option("--csv", o.csv, "Table as the one that the network was trained on; targets are not needed")
          ->check(not_empty());
  CLI::Option* const images = c.add_option("--images", o.images, "IDX file of images (plain or gzip)")
                                  ->check(not_empty())
                                  ->excludes(table);
  c.add_option(
       "--out", o.out,
       "Table to write: a line for each row or image with its line or number (from 0), and the class and its "
       "probability, or the predicted numbers; - is the standard output")
      ->required()
      ->transform(file_to_write());
  c.add_option("--threads", o.threads, "Threads that compute; the result does not depend on it")
      ->check(number_of_threads())
      ->capture_default_str();
  c.callback([options, table, images, &exit_code] {
    if (table->count() + images->count() == 0) throw CLI::RequiredError("--csv or --images");
    predict(*options);
    exit_code = 0;
  });
}

}  // namespace tapegrad::cli
