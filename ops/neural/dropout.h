#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// y = x * m / (1 - ratio), where each element of m is 0 with probability `ratio` and 1 otherwise, drawn from the
/// generator: one word for each element. Srivastava et al.: Dropout, JMLR 15, 2014, in the inverted form, which
/// keeps the mean. Differentiable to any order; the gradient goes through the same mask.
///
/// Takes f32 or f64 (DtypeError). Throws ArgumentError for a ratio outside [0, 1).
TAPEGRAD_API Tensor dropout(const Tensor& x, double ratio, Generator& generator);

/// The same with whole channels of x [n, c, ...]: m is drawn for each channel of each item, as neighbours in an image
/// say much the same. Tompson et al.: Efficient Object Localization Using Convolutional Networks, CVPR 2015. Throws
/// ShapeError for fewer than three axes.
TAPEGRAD_API Tensor dropout2d(const Tensor& x, double ratio, Generator& generator);

namespace detail {
/// Throws ShapeError unless x is [n, c, ...], with channels of several elements.
TAPEGRAD_API void require_droppable_channels(const char* op, const Tensor& x);
}  // namespace detail

}  // namespace tapegrad
