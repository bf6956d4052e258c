#include "model_options.h"

#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tapegrad::cli {

void ModelOptions::add_to(CLI::App& command) {
  command.add_option("--model", model, "two-layer has one hidden layer, multi-layer any number")
      ->check(CLI::IsMember({"two-layer", "multi-layer"}))
      ->capture_default_str();
  command.add_option("--hidden", hidden, "Widths of the hidden layers; default 50, multi-layer 100,100")
      ->delimiter(',');
  command.add_option("--activation", activation, "Of the hidden layers")
      ->check(CLI::IsMember(nn::activation_names()))
      ->capture_default_str();
  command.add_option("--init", init, "Initial weights: std:DEVIATION, xavier or he")->capture_default_str();
  command.add_flag("--batch-norm", batch_norm, "Normalise over the batch before each activation");
  command.add_option("--dropout", dropout, "Ratio dropped behind each activation")->capture_default_str();
}

std::vector<std::int64_t> ModelOptions::hidden_widths() const {
  if (hidden.empty())
    return model == "two-layer" ? std::vector<std::int64_t>{50} : std::vector<std::int64_t>{100, 100};
  if (model == "two-layer" && hidden.size() != 1)
    throw ArgumentError(
        fmt::format("--hidden {}: a two-layer model has one hidden layer; use --model multi-layer for {}",
                    fmt::join(hidden, ","), hidden.size()));
  for (const std::int64_t width : hidden)
    if (width < 1)
      throw ArgumentError(fmt::format("--hidden {}: a width must be at least 1", fmt::join(hidden, ",")));
  return hidden;
}

nn::MultiLayerNet ModelOptions::build(std::int64_t inputs, std::int64_t classes, Generator& generator,
                                      std::optional<double> weight_decay,
                                      std::optional<nn::InputStatistics> standardize) const {
  return {inputs,
          classes,
          generator,
          {.hidden = hidden_widths(),
           .activation = activation,
           .init = nn::Init::parse(init),
           .batch_norm = batch_norm,
           .dropout = dropout,
           .weight_decay = weight_decay,
           .standardize = std::move(standardize)}};
}

}  // namespace tapegrad::cli
