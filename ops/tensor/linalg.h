#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Matrix products, of f32 or f64. Operands of different dtypes throw DtypeError, shapes that do not fit
/// ShapeError.
namespace tapegrad {

/// Which operands of matmul are meant transposed, in their last two axes: no copy is made for it.
struct MatmulOptions {
  bool transpose_a = false;  ///< of the first operand
  bool transpose_b = false;  ///< of the second
};

/// The matrix product, as in NumPy and PyTorch: [m, k] x [k, n] -> [m, n]. Axes in front of the last two are
/// a batch and broadcast: [5, 1, m, k] x [3, k, n] -> [5, 3, m, n]. A vector counts as a row on the left and
/// as a column on the right, and that axis is dropped: [k] x [k, n] -> [n], [m, k] x [k] -> [m], [k] x [k] ->
/// []. A product over k = 0 is zero. Throws ArgumentError where a vector is to be transposed.
TAPEGRAD_API Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options = {});
/// The scalar product of two vectors, [k] x [k] -> [].
TAPEGRAD_API Tensor dot(const Tensor& a, const Tensor& b);
/// a_i b_j, [m] x [n] -> [m, n].
TAPEGRAD_API Tensor outer(const Tensor& a, const Tensor& b);
/// The layer of a network, x W + b, or x W where the bias is an undefined tensor: x [..., in], as a batch [n, in] or
/// one sample [in], W [in, out], b [out] -> [..., out].
TAPEGRAD_API Tensor affine(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace tapegrad
