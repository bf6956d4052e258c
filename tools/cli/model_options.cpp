#include "model_options.h"

#include <tapegrad/graph/errors.h>

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
      ->check(CLI::IsMember({"relu", "sigmoid", "tanh"}))
      ->capture_default_str();
  command.add_option("--init", init, "Initial weights: std:DEVIATION, xavier or he")->capture_default_str();
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

nn::Sequential ModelOptions::build(std::int64_t inputs, std::int64_t classes, Generator& generator) const {
  const nn::Init weights = nn::Init::parse(init);
  nn::Sequential net;
  std::int64_t width = inputs;
  std::size_t layer = 1;
  for (const std::int64_t next : hidden_widths()) {
    net.append(fmt::format("affine{}", layer), nn::Affine(width, next, generator, {.init = weights}));
    const std::string name = fmt::format("{}{}", activation, layer++);
    if (activation == "relu") net.append(name, nn::Relu());
    if (activation == "sigmoid") net.append(name, nn::Sigmoid());
    if (activation == "tanh") net.append(name, nn::Tanh());
    width = next;
  }
  net.append(fmt::format("affine{}", layer), nn::Affine(width, classes, generator, {.init = weights}));
  return net;
}

std::string ModelOptions::describe(std::int64_t inputs, std::int64_t classes) const {
  return fmt::format("{}-{}-{} {} {}", inputs, fmt::join(hidden_widths(), "-"), classes, activation, init);
}

}  // namespace tapegrad::cli
