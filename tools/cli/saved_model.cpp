#include "saved_model.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage_limit.h>
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

/// What is loaded over: a mean and a standard deviation of this shape.
nn::InputStatistics statistics_of(const Shape& shape) { return {Tensor::zeros(shape), Tensor::ones(shape)}; }

/// What a saved state says of its network.
class Description {
 public:
  explicit Description(const nn::Metadata& metadata) : metadata_(metadata) {}

  const std::string& value(const char* key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) throw ArgumentError(fmt::format("it does not say its '{}'", key));
    return found->second;
  }
  /// That is one of these.
  const std::string& value(const char* key, std::initializer_list<std::string_view> known) const {
    const std::string& text = value(key);
    if (std::ranges::find(known, std::string_view(text)) == known.end())
      throw ArgumentError(
          fmt::format("its '{}' is '{}'; there are {}", key, text.substr(0, kShown), fmt::join(known, ", ")));
    return text;
  }
  /// As many sizes as a tensor can have axes, from 1 on: "1x28x28".
  Shape sizes(const char* key, std::size_t most_axes) const {
    const std::string& text = value(key);
    std::vector<std::int64_t> sizes;
    for (const std::string& part : CLI::detail::split(text.substr(0, kShown), 'x')) {
      const auto size = nn::files::number_in<std::int64_t>(part);
      if (!size || *size < 1 || text.size() > kShown || text.back() == 'x' || sizes.size() == most_axes)
        throw ArgumentError(fmt::format("its '{}' is '{}'; it must be {}", key, text.substr(0, kShown),
                                        most_axes == 1 ? "a number, from 1 on" : "sizes, as in 1x28x28"));
      sizes.push_back(*size);
    }
    return Shape(std::span<const std::int64_t>(sizes));
  }
  ModelOptions options() const {
    ModelOptions options;
    CLI::App app;
    options.add_to(app);
    for (CLI::Option* option : app.get_options())
      if (const auto found = metadata_.find(option->get_name(false, false)); found != metadata_.end()) {
        option->add_result(found->second);
        option->run_callback();
      }
    // As for words of layers.
    constexpr std::size_t kMostLayers = 10'000;
    if (options.hidden.size() > kMostLayers)
      throw ArgumentError(fmt::format("it names {} layers; networks of up to {} are built again",
                                      options.hidden.size(), kMostLayers));
    return options;
  }
  std::optional<nn::CsvFormat> table() const {
    const auto found = metadata_.find(kTable);
    if (found == metadata_.end()) return std::nullopt;
    return nn::CsvFormat::parse(found->second);
  }

 private:
  static constexpr std::size_t kShown = 200;
  const nn::Metadata& metadata_;
};

/// A table's columns decide what comes in and what comes out.
void require_fitting(const nn::CsvFormat& table, const Shape& item, std::int64_t outputs, bool numbers) {
  const std::size_t features = table.feature_names().size();
  const std::size_t targets = table.target_names().size();
  const std::size_t classes = table.classes().size();
  if (table.dtype != f32) throw ArgumentError("its table has numbers of f64, and the network takes f32");
  if (targets == 0) throw ArgumentError("its table has no target");
  if (numbers == (classes > 0))
    throw ArgumentError(fmt::format("its '{}' is {}, and its table has {}", kTask,
                                    numbers ? "regression" : "classification",
                                    numbers ? "a target of categories" : "no target of categories"));
  if (item != Shape{static_cast<std::int64_t>(features)})
    throw ArgumentError(fmt::format("its table has {} features, and its '{}' is {}", features, kItem,
                                    fmt::join(item.dims(), "x")));
  if (const std::size_t made = numbers ? targets : classes; static_cast<std::int64_t>(made) != outputs)
    throw ArgumentError(fmt::format("its table has {} {}, and its '{}' is {}", made,
                                    numbers ? "targets" : "classes", kOutputs, outputs));
}

SavedModel built(const nn::SavedState& saved) {
  const Description description(saved.metadata);
  ModelOptions options = description.options();
  const Shape item = description.sizes(kItem, Shape::kMaxRank - 1);
  const std::int64_t outputs = description.sizes(kOutputs, 1)[0];
  const std::string& standardize = description.value(kStandardize, {"none", "all", "features"});
  const bool numbers = description.value(kTask, {"regression", "classification"}) == "regression";
  std::optional<nn::CsvFormat> table = description.table();
  if (table)
    require_fitting(*table, item, outputs, numbers);
  else if (numbers)
    throw ArgumentError(fmt::format("its '{}' is regression, and it has no '{}'", kTask, kTable));

  if (standardize != "none") options.standardize = statistics_of(standardize == "all" ? Shape{} : item);
  Generator generator(0);
  SavedModel result{build_model(options, item, outputs, generator), item, std::move(table)};
  if (numbers) append_units(result.model, statistics_of({outputs}));
  result.model.net->load_state(saved.tensors);
  result.model.net->eval();
  return result;
}

std::size_t bytes_of(const nn::State& state) {
  std::size_t bytes = 0;
  for (const auto& [name, t] : state) bytes += static_cast<std::size_t>(t.size()) * size_of(t.dtype());
  return bytes;
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

std::string parameters_file(const std::string& run, bool best) {
  const std::filesystem::path folder(run);
  const std::filesystem::path file = folder / (best ? "best.safetensors" : "parameters.safetensors");
  if (best && !std::filesystem::exists(file) && std::filesystem::exists(folder / "parameters.safetensors"))
    throw ArgumentError(fmt::format(
        "--best: {} has no {}; train saves it where --validation holds out data to tell the best epoch by",
        run, file.filename().string()));
  return file.string();
}

SavedModel load_model(const std::string& path) {
  const nn::SavedState saved = nn::load_state_file(path);
  // What is loaded is there twice while it is; and once, an item goes through layers of words. Training has taken more,
  // unless the file says of a network what is not true.
  constexpr std::size_t kOfAnItem = std::size_t{256} << 20;
  const std::size_t most = 4 * bytes_of(saved.tensors) + kOfAnItem;
  const detail::StorageLimit limit(most);
  const auto refuse = [&](std::string_view why) {
    constexpr std::size_t kShown = 1000;  // what the file says may be long
    return FileError(fmt::format("'{}' holds no network that train has saved: {}{}", path,
                                 why.substr(0, kShown), why.size() > kShown ? "..." : ""));
  };
  try {
    return built(saved);
  } catch (const OutOfMemory& e) {
    if (!limit.reached()) throw;
    throw refuse(fmt::format(
        "what it says of the network takes more than {} MiB, which tensors of {} bytes do not need: {}",
        most >> 20, bytes_of(saved.tensors), e.what()));
  } catch (const Error& e) {
    throw refuse(e.what());
  } catch (const CLI::Error& e) {
    throw refuse(e.what());
  }
}

}  // namespace tapegrad::cli
