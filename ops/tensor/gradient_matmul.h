#pragma once

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/kernels/gemm/gradient_product.h>
#include <tapegrad/ops/tensor/linalg.h>
#include <tapegrad/ops/tensor/shape.h>

/// What the recorded rules of products share.
namespace tapegrad::detail {

/// A product as matmul makes it, where one operand is a gradient, or both are: its zeros make a product 0 whatever they
/// are multiplied by, as nothing may come from an element that has no gradient.
Tensor gradient_matmul(Gradient which, const Tensor& x, const Tensor& y, MatmulOptions options);

inline Tensor reshaped(const Tensor& x, const Shape& shape) {
  return x.shape() == shape ? x : reshape(x, shape);
}

}  // namespace tapegrad::detail
