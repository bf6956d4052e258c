#pragma once

#include <optional>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/optim/parameters.h>

namespace tapegrad::nn {

/// The parameters of a network for an optimizer: with a weight decay, that for those named "weight", and none for
/// biases and the parameters of batch normalisation, as in "Deep Learning from Scratch"; without one all alike. Throws
/// ArgumentError for a decay that is negative or not finite.
TAPEGRAD_API optim::ParameterGroups weight_decay_groups(const ModuleBase& net,
                                                        std::optional<double> weight_decay);

}  // namespace tapegrad::nn
