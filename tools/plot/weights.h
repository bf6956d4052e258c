#pragma once

#include <string>
#include <utility>
#include <vector>

#include <tapegrad/nn/module.h>
#include <tapegrad/nn/state.h>

#include "picture.h"

namespace tapegrad::plot {

/// Copies of a network's parameters with two or more axes: the weights of its layers, without biases and scales.
nn::State weights_of(const nn::ModuleBase& net);

/// How the weights of each layer are distributed at several times, such as {"initial", weights}: a diagram for
/// each name that the last of them has, over the range of all; what is not finite is left out. Up to `most` diagrams.
std::vector<Picture> draw_weights(const std::vector<std::pair<std::string, nn::State>>& times,
                                  std::size_t most = 24);

}  // namespace tapegrad::plot
