#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/sizes.h>

namespace tapegrad {

/// The nearest element, or a mean of the four around, weighted by how near they are.
enum class UpsampleMode : std::uint8_t { nearest, bilinear };

/// Either the size of the result or the scale has to be given.
struct UpsampleOptions {
  Sizes<2> size{};                            ///< height and width of the result
  double scale = 0;                           ///< sizes of the result are floor(size * scale)
  UpsampleMode mode = UpsampleMode::nearest;  ///< how elements between those of x are found
  /// Of bilinear: the centres of corner elements stand on each other, else the corners of the images.
  bool align_corners = false;
};

/// Images x [n, c, h, w] as [n, c, height, width], each plane by itself, as PyTorch's interpolate does by sizes.
/// Element i along an axis of `in` elements that gets `out` is, with nearest, element floor(i in / out), and with
/// bilinear between the two elements around
///
///     max(0, (i + 1/2) in / out - 1/2),    or with align_corners  i (in - 1) / (out - 1),
///
/// weighted by how near they are. Sizes may also shrink. Linear, and differentiable to any order.
///
/// Takes f32 or f64 (DtypeError). Throws ShapeError for another rank and for planes without elements; ArgumentError
/// where both size and scale are given or none, for sizes below 1 or beyond 2^53, a scale that is not positive and
/// finite, and align_corners with nearest. A batch may be empty.
///
///     upsample(x, 2)                                                                    // [n, c, 2 h, 2 w]
///     upsample(x, {.size = {20, 30}, .mode = UpsampleMode::bilinear})
TAPEGRAD_API Tensor upsample(const Tensor& x, const UpsampleOptions& options);
TAPEGRAD_API Tensor upsample(const Tensor& x, double scale);

}  // namespace tapegrad
