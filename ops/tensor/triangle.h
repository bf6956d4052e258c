#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Triangles of matrices.
namespace tapegrad {

/// x with zeros above (tril) or below (triu) a diagonal of its last two axes, [..., m, n], of any dtype. Diagonal 0 is
/// the main one, a positive one lies above it and a negative one below: tril leaves x[i, j] where j - i <= diagonal,
/// triu where j - i >= diagonal. The gradient is 0 where x was replaced, also if it was infinite or NaN there. Throws
/// ShapeError for fewer than two axes, ArgumentError for an undefined tensor.
TAPEGRAD_API Tensor tril(const Tensor& x, std::int64_t diagonal = 0);
TAPEGRAD_API Tensor triu(const Tensor& x, std::int64_t diagonal = 0);

}  // namespace tapegrad
