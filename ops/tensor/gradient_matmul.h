#pragma once

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/shape.h>

/// What the recorded rules of products share.
namespace tapegrad::detail {

/// Products as matmul makes them, where one operand is a gradient: its zeros make a product 0 whatever they are
/// multiplied by, as nothing may come from an element that has no gradient.
Tensor gradient_times(const Tensor& g, const Tensor& b, MatmulOptions options);
Tensor times_gradient(const Tensor& a, const Tensor& g, MatmulOptions options);

inline Tensor reshaped(const Tensor& x, const Shape& shape) {
  return x.shape() == shape ? x : reshape(x, shape);
}

}  // namespace tapegrad::detail
