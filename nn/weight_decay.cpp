#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/weight_decay.h>

#include <fmt/format.h>

namespace tapegrad::nn {

bool is_weight(std::string_view path) noexcept { return path == "weight" || path.ends_with(".weight"); }

optim::ParameterGroups weight_decay_groups(const ModuleBase& net, std::optional<double> weight_decay) {
  if (!weight_decay) return net;
  if (!(*weight_decay >= 0 && std::isfinite(*weight_decay)))
    throw ArgumentError(fmt::format("weight_decay is {}; it must be at least 0 and finite", *weight_decay));
  optim::ParameterList::Named weights, others;
  for (const auto& [path, parameter] : net.parameters())
    (is_weight(path) ? weights : others).emplace_back(path, parameter);
  return {{.parameters = weights, .weight_decay = weight_decay}, {.parameters = others, .weight_decay = 0}};
}

}  // namespace tapegrad::nn
