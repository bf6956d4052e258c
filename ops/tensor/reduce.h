#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/axes.h>

/// Reductions over any axes, and running sums. They take f32 or f64; where i64 is taken too, it says so.
/// By default every axis is reduced, to a scalar: sum(x); sum(x, 1) and sum(x, {0, -1}) reduce some. A NaN
/// among the elements is passed on. The order of summation depends on the shape alone and combines partial sums
/// in pairs: the rounding error of n terms grows with log n (Higham: The accuracy of floating point
/// summation, SIAM J. Sci. Comput. 14, 1993).
///
/// All throw ArgumentError for an axis that does not exist or is named twice.
namespace tapegrad {

/// Whether a reduced axis stays, with size 1, so that the result broadcasts against x.
enum class KeepDims : bool { no, yes };

/// The sum, 0 of no elements; and the product, 1 of no elements: also i64, which wraps around on overflow. A product
/// that is in the range of the dtype is right, as are its first two derivatives, also where products of some of its
/// elements are not.
TAPEGRAD_API Tensor sum(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);
TAPEGRAD_API Tensor prod(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);
/// The arithmetic mean, also of numbers whose sum leaves the range of the dtype. Throws ArgumentError for no elements.
TAPEGRAD_API Tensor mean(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);

/// The largest and the smallest element: also i64. Equal ones share the gradient evenly, as in PyTorch's
/// amax. Throws ArgumentError for no elements.
TAPEGRAD_API Tensor max(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);
TAPEGRAD_API Tensor min(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);
/// Where they are, i64: also of i64. The first of equal ones; a NaN counts as the extreme. Over several axes,
/// the position in row-major order along these. Not differentiable: the result is a constant.
TAPEGRAD_API Tensor argmax(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);
TAPEGRAD_API Tensor argmin(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);

/// The variance sum (x - mean)^2 / (n - ddof), from the differences themselves, and its square root. ddof = 1
/// gives the unbiased estimate. Equal elements have exactly 0, and the elements of a gradient add up to 0 but for
/// rounding; std is right for numbers of any size, also where the variance leaves the range of the dtype. The gradient
/// of std is 0 where std is 0, as in PyTorch; a second derivative does not exist there and is NaN. Throws ArgumentError
/// unless 0 <= ddof < n.
TAPEGRAD_API Tensor var(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no,
                        std::int64_t ddof = 0);
TAPEGRAD_API Tensor std(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no,
                        std::int64_t ddof = 0);
/// The same: after `using namespace tapegrad`, std alone would be ambiguous.
inline Tensor stddev(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no,
                     std::int64_t ddof = 0) {
  return std(x, axes, keep, ddof);
}

/// ln sum e^x, without overflow; -infinity of no elements. The gradient is softmax(x), 0 where all are -infinity.
TAPEGRAD_API Tensor logsumexp(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);
/// The Euclidean norm sqrt(sum x^2), of numbers of any size. The gradient is 0 where the norm is 0, as in PyTorch;
/// second derivatives do not exist there and are NaN, also those of square(norm(x)): write sum(square(x)) for it.
TAPEGRAD_API Tensor norm(const Tensor& x, const Axes& axes = Axes::all(), KeepDims keep = KeepDims::no);
/// (sum |x|^p)^(1/p) for a p above 0, without overflow or underflow; the largest and the smallest |x| for p = infinity
/// and -infinity, and how many are not 0 for p = 0. PyTorch's linalg.vector_norm. vector_norm(x, 2) is norm(x).
/// The gradient is sign(x) (|x| / norm)^(p - 1). At a kink it is one of the subgradients, PyTorch's: 0 at an element
/// that is 0, for any p (for p = 1, the sum of |x|, all of -1 to 1 would do); for p = infinity and -infinity the n
/// elements of the largest, and of the smallest, size share it evenly, sign(x) / n each. Where no second derivative
/// exists (at an element that is 0 for a p below 2 but 1, where the norm is 0 for one above) it is infinite or NaN.
/// Throws ArgumentError for another p.
TAPEGRAD_API Tensor vector_norm(const Tensor& x, double p, const Axes& axes = Axes::all(),
                                KeepDims keep = KeepDims::no);

/// y[i] = x[0] + ... + x[i] along an axis: also i64, which wraps around on overflow.
TAPEGRAD_API Tensor cumsum(const Tensor& x, std::int64_t axis);

}  // namespace tapegrad
