#pragma once

#include <optional>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/optim/parameters.h>

namespace tapegrad::nn {

/// Whether a parameter of this path is one of the weights, which are called "weight"; biases and the parameters of
/// normalisations are none.
TAPEGRAD_API bool is_weight(std::string_view path) noexcept;

/// The parameters of a network for an optimizer: with a weight decay, that for the weights (is_weight) and none for
/// others, as in "Deep Learning from Scratch", whatever the modules set; without one those of the network. Throws
/// ArgumentError for a decay that is negative or not finite.
TAPEGRAD_API optim::ParameterGroups weight_decay_groups(const ModuleBase& net,
                                                        std::optional<double> weight_decay);

}  // namespace tapegrad::nn
