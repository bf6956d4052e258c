#include "models.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/multi_layer_net.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::cli {

namespace {

/// A network that describes itself and groups its parameters.
template <class M>
Model model_of(std::unique_ptr<M> net) {
  std::string description = net->describe();
  optim::ParameterGroups groups = net->groups();
  return {std::move(net), std::move(description), std::move(groups)};
}

Model fully_connected(const ModelOptions& o, std::vector<std::int64_t> hidden, std::int64_t inputs,
                      std::int64_t classes, Generator& generator) {
  for (const std::int64_t width : hidden)
    if (width < 1)
      throw ArgumentError(fmt::format("--hidden {}: a width must be at least 1", fmt::join(hidden, ",")));
  return model_of(std::make_unique<nn::MultiLayerNet>(inputs, classes, generator,
                                                      nn::MultiLayerOptions{.hidden = std::move(hidden),
                                                                            .activation = o.activation,
                                                                            .init = nn::Init::parse(o.init),
                                                                            .batch_norm = o.batch_norm,
                                                                            .dropout = o.dropout,
                                                                            .weight_decay = o.weight_decay,
                                                                            .standardize = o.standardize}));
}

Model two_layer(const ModelOptions& o, std::int64_t inputs, std::int64_t classes, Generator& generator) {
  if (o.hidden.size() > 1)
    throw ArgumentError(
        fmt::format("--hidden {}: a two-layer model has one hidden layer; use --model multi-layer for {}",
                    fmt::join(o.hidden, ","), o.hidden.size()));
  return fully_connected(o, o.hidden.empty() ? std::vector<std::int64_t>{50} : o.hidden, inputs, classes,
                         generator);
}

Model multi_layer(const ModelOptions& o, std::int64_t inputs, std::int64_t classes, Generator& generator) {
  return fully_connected(o, o.hidden.empty() ? std::vector<std::int64_t>{100, 100} : o.hidden, inputs,
                         classes, generator);
}

/// All models. A new one is a row, with a function that builds it.
constexpr struct {
  std::string_view name;
  std::string_view help;
  Model (*build)(const ModelOptions&, std::int64_t inputs, std::int64_t classes, Generator&);
} kModels[] = {
    {"two-layer", "one hidden layer, by default of width 50", two_layer},
    {"multi-layer", "any number of hidden layers, by default 100,100", multi_layer},
};

}  // namespace

void ModelOptions::add_to(CLI::App& command) {
  std::vector<std::string> names, help;
  for (const auto& row : kModels) {
    names.emplace_back(row.name);
    help.push_back(fmt::format("{}: {}", row.name, row.help));
  }
  command.add_option("--model", model, fmt::format("{}", fmt::join(help, "; ")))
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  command.add_option("--hidden", hidden, "Widths of the hidden layers")->delimiter(',');
  command.add_option("--activation", activation, "Of the hidden layers")
      ->check(CLI::IsMember(nn::activation_names()))
      ->capture_default_str();
  command.add_option("--init", init, fmt::format("Initial weights: {}", nn::Init::forms()))
      ->capture_default_str();
  command.add_flag("--batch-norm", batch_norm, "Normalise over the batch before each activation");
  command.add_option("--dropout", dropout, "Ratio dropped behind each activation")->capture_default_str();
}

Model build_model(const ModelOptions& options, std::int64_t inputs, std::int64_t classes,
                  Generator& generator) {
  const auto row = std::ranges::find_if(kModels, [&](const auto& r) { return r.name == options.model; });
  if (row == std::end(kModels)) throw ArgumentError(fmt::format("--model {} is not known", options.model));
  return row->build(options, inputs, classes, generator);
}

}  // namespace tapegrad::cli
