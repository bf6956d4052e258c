#include "saved_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/text.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/layers/standardize.h>
#include <tapegrad/ops/ops.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "settings.h"

namespace tapegrad::cli {

namespace {

constexpr const char* kItem = "item";
constexpr const char* kOutputs = "outputs";
constexpr const char* kStandardize = "standardize";
constexpr const char* kTask = "task";
constexpr const char* kTable = "table";

/// What is loaded over: a mean and a standard deviation of this shape.
nn::InputStatistics statistics_of(const Shape& shape) { return {Tensor::zeros(shape), Tensor::ones(shape)}; }

std::vector<std::int64_t> sizes_in(const std::string& text) {
  std::vector<std::int64_t> sizes;
  for (const std::string& part : CLI::detail::split(text, 'x')) {
    const auto size = nn::files::number_in<std::int64_t>(part);
    if (!size || *size < 1) throw ArgumentError(fmt::format("'{}' is no shape", text));
    sizes.push_back(*size);
  }
  return sizes;
}

SavedModel built(const nn::SavedState& saved) {
  const auto value = [&](const char* key) -> const std::string& {
    const auto found = saved.metadata.find(key);
    if (found == saved.metadata.end()) throw ArgumentError(fmt::format("it does not say its '{}'", key));
    return found->second;
  };
  ModelOptions options;
  CLI::App app;
  options.add_to(app);
  for (CLI::Option* option : app.get_options())
    if (const auto found = saved.metadata.find(option->get_name(false, false));
        found != saved.metadata.end()) {
      option->add_result(found->second);
      option->run_callback();
    }
  const Shape item(sizes_in(value(kItem)));
  const std::string& standardize = value(kStandardize);
  if (standardize != "none") options.standardize = statistics_of(standardize == "all" ? Shape{} : item);
  const std::vector<std::int64_t> outputs = sizes_in(value(kOutputs));
  if (outputs.size() != 1) throw ArgumentError(fmt::format("'{}' is no number of outputs", value(kOutputs)));
  Generator generator(0);
  SavedModel result{build_model(options, item, outputs[0], generator), item};
  if (value(kTask) == "regression") append_units(result.model, statistics_of({outputs[0]}));
  if (const auto table = saved.metadata.find(kTable); table != saved.metadata.end())
    result.format = nn::CsvFormat::parse(table->second);
  result.model.net->load_state(saved.tensors);
  result.model.net->eval();
  return result;
}

}  // namespace

nn::Metadata metadata_of(const CLI::App& command, const Model& model, const TrainData& data) {
  ModelOptions options;
  CLI::App app;
  options.add_to(app);
  nn::Metadata metadata;
  std::string standardize = "none";
  for (const auto& [name, value] : settings_of(command)) {
    if (app.get_option_no_throw(name)) metadata.emplace(name, value);
    if (name == "--standardize") standardize = value == "pixels" ? "features" : "all";
  }
  if (data.format) {
    standardize = "features";
    metadata.emplace(kTable, data.format->text());
  }
  metadata.emplace("model", model.description);
  const Shape item = data.train.input_shape();
  metadata.emplace(kItem, fmt::format("{}", fmt::join(item.dims(), "x")));
  metadata.emplace(kOutputs, fmt::format("{}", data.outputs));
  metadata.emplace(kStandardize, standardize);
  metadata.emplace(kTask, data.units ? "regression" : "classification");
  return metadata;
}

void append_units(Model& model, const nn::InputStatistics& units) {
  // Standardize computes (y - a) / b; this is y stddev + mean for a = -mean / stddev and b = 1 / stddev.
  nn::Standardize layer({-units.mean / units.stddev, 1 / units.stddev});
  auto net = std::make_unique<nn::Sequential>();
  net->append("net", std::move(model.net));
  net->append("units", std::move(layer));
  model.net = std::move(net);
}

SavedModel load_model(const std::string& path) {
  const nn::SavedState saved = nn::load_state_file(path);
  try {
    return built(saved);
  } catch (const Error& e) {
    throw FileError(fmt::format("'{}' holds no network that train has saved: {}", path, e.what()));
  } catch (const CLI::Error& e) {
    throw FileError(fmt::format("'{}' holds no network that train has saved: {}", path, e.what()));
  }
}

}  // namespace tapegrad::cli
