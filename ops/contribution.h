#pragma once

#include <tapegrad/ops/loops/elementwise.h>

namespace tapegrad::detail {

/// What a rule on tensors contributes that has made `r` of a gradient g, or of one that broadcasts to it: r, but nothing
/// where g is exactly 0; see contribution in loops/elementwise.h. `slope` is NaN where the derivative is.
inline Tensor contributed(const Tensor& g, const Tensor& r, const Tensor& slope) {
  return contributes_all(g, r) ? r : contribution(g, r, slope);
}

}  // namespace tapegrad::detail
