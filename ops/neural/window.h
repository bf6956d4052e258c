#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/ops/neural/sizes.h>
#include <tapegrad/ops/tensor/shape.h>

/// A window that slides over images: where it stands, and which elements lie in it. Pooling, convolution, im2col and
/// their adjoints all count here.
namespace tapegrad::detail {

/// Height and width.
using Size2d = Sizes<2>;

/// A window over the last two axes of images [n, c, h, w]. Each member has an entry for h and one for w. Place k of
/// window o along an axis holds element o * stride - padding.before + k * dilation of it, which lies in the padding
/// where it is negative or beyond the last.
struct Window2d {
  Size2d kernel{1, 1};
  Size2d stride{1, 1};
  std::array<Padding, 2> padding{};
  Size2d dilation{1, 1};
  /// A last window that overhangs the padding at the end counts too, if it starts within the axis or the padding before
  /// it.
  bool ceil_mode = false;

  /// Number of places in a window.
  std::int64_t area() const { return kernel[0] * kernel[1]; }
  /// How far a window reaches along an axis, gaps included.
  std::int64_t span(std::size_t i) const { return (kernel[i] - 1) * dilation[i] + 1; }
};

/// A window along the last N axes of images; a sequence is an image of height 1.
template <std::size_t N>
Window2d window_over(const Sizes<N>& kernel, const Sizes<N>& stride, const std::array<Padding, N>& padding,
                     const Sizes<N>& dilation) {
  Window2d w;
  for (std::size_t i = 0; i < N; ++i) {
    const std::size_t at = 2 - N + i;
    w.kernel[at] = kernel[i];
    w.stride[at] = stride[i];
    w.padding[at] = padding[i];
    w.dilation[at] = dilation[i];
  }
  return w;
}

/// Throws unless `what` is defined, and images [n, c, h, w], or of one axis sequences [n, c, l].
TAPEGRAD_API void require_images(const char* op, const char* what, const Tensor& x, std::size_t axes);

/// x [n, c, l] as images [n, c, 1, l].
inline Tensor as_images(const Tensor& x) { return unsqueeze(x, 2); }
/// f of images, as one of sequences.
template <class F>
Tensor on_sequences(const Tensor& x, F&& f) {
  return squeeze(f(as_images(x)), 2);
}

/// Throws ArgumentError naming `op` and `axis` for a kernel, stride or dilation below 1, a negative padding and numbers
/// beyond 2^59, in entry i of the window.
TAPEGRAD_API void require_window(const char* op, std::size_t axis, const Window2d& w, std::size_t i);

/// How many windows stand along `axis` of x, by entry i of the window: with `padded` the size of the axis and its
/// padding
///
///     floor((padded - span) / stride) + 1,
///
/// and one more in ceil_mode, where the last one overhangs. Throws as require_window does, and ShapeError for an axis
/// without elements and where no window fits.
TAPEGRAD_API std::int64_t windows_along(const char* op, const Shape& x, std::size_t axis, const Window2d& w,
                                        std::size_t i);

/// The same along the last two axes of x [n, c, h, w].
TAPEGRAD_API Size2d windows_of(const char* op, const Shape& x, const Window2d& w);

/// Tells a visitor kernel, stride and padding (before and after each axis).
TAPEGRAD_API void describe_steps(AttributeVisitor& v, const Window2d& w);
/// The same, then dilation and ceil_mode.
TAPEGRAD_API void describe_window(AttributeVisitor& v, const Window2d& w);

/// The windows along one axis, and which of their places lie within it.
struct WindowAxis {
  std::int64_t size;     ///< of the axis
  std::int64_t windows;  ///< as windows_along counts them
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t before;  ///< padding
  std::int64_t dilation;

  WindowAxis(const Window2d& w, std::size_t i, std::int64_t axis_size, std::int64_t count)
      : size(axis_size),
        windows(count),
        kernel(w.kernel[i]),
        stride(w.stride[i]),
        before(w.padding[i].before),
        dilation(w.dilation[i]) {}

  /// The element at place 0 of window o; may lie outside.
  std::int64_t start(std::int64_t o) const { return o * stride - before; }

  /// [first, last); empty where both are equal.
  struct Range {
    std::int64_t first;
    std::int64_t last;
  };
  /// The places of window o that lie within the axis.
  Range places(std::int64_t o) const { return within(start(o), dilation, kernel); }
  /// The windows whose place k lies within the axis.
  Range windows_with(std::int64_t k) const { return within(k * dilation - before, stride, windows); }
  /// Places from this one on lie in the padding of every window.
  std::int64_t places_met() const {
    const std::int64_t met = (size + before - 1) / dilation + 1;
    return met < kernel ? met : kernel;
  }

 private:
  /// Which of the elements at, at + step, ..., `count` of them, lie within the axis.
  Range within(std::int64_t at, std::int64_t step, std::int64_t count) const {
    const std::int64_t first = at < 0 ? (-at + step - 1) / step : 0;
    const std::int64_t end = at < size ? (size - at + step - 1) / step : 0;
    const std::int64_t last = end < count ? end : count;
    return {first < last ? first : last, last};
  }
};

}  // namespace tapegrad::detail
