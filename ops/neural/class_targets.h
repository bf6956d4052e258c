#pragma once

#include <tapegrad/graph/tensor.h>

namespace tapegrad::detail {

/// Of cross_entropy: added to a probability before its logarithm is taken.
inline constexpr double kCrossEntropyOffset = 1e-7;

/// Throws, naming the op, where targets do not fit the scores that `what` describes; loss.h says how they must.
void require_class_targets(const char* op, const char* what, const Tensor& scores, const Tensor& targets);

}  // namespace tapegrad::detail
