#pragma once

#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/tensor.h>

namespace tapegrad::nn {

/// Named tensors in a fixed order: what a model or an optimizer saves and restores.
using State = std::vector<std::pair<std::string, Tensor>>;

}  // namespace tapegrad::nn
