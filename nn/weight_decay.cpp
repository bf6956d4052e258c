#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/weight_decay.h>

#include <fmt/format.h>

namespace tapegrad::nn {

optim::ParameterGroups weight_decay_groups(const ModuleBase& net, std::optional<double> weight_decay) {
  if (!weight_decay) return net;
  if (!(*weight_decay >= 0 && std::isfinite(*weight_decay)))
    throw ArgumentError(fmt::format("weight_decay is {}; it must be at least 0 and finite", *weight_decay));
  optim::ParameterList::Named weights, others;
  for (const auto& [name, parameter] : net.parameters())
    (name == "weight" || name.ends_with(".weight") ? weights : others).emplace_back(name, parameter);
  return {{.parameters = weights, .weight_decay = weight_decay}, {.parameters = others, .weight_decay = 0}};
}

}  // namespace tapegrad::nn
