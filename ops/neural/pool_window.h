#pragma once

#include <cstdint>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/neural/pool.h>
#include <tapegrad/ops/neural/window.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

/// From the options of a pooling to its window, with what pooling requires beyond windows_along. One dimension is two with
/// a height of 1.
namespace tapegrad::detail {

/// Throws ArgumentError where windows could lie in the padding by more than half.
inline void require_half(const char* op, std::int64_t padding, std::int64_t kernel, std::size_t axis) {
  if (padding > kernel / 2)
    throw ArgumentError(
        fmt::format("{}: the padding is {} along axis {}; it may be at most half of the kernel, {}",
                    op_label(op), padding, axis, kernel / 2));
}

/// The window of options over h and w; throws as pool.h says.
template <class Options>
Window2d pool_window(const char* op, const Tensor& x, const Options& o, const Size2d& dilation = {1, 1}) {
  require_defined(op, x);
  Window2d w{.kernel = o.kernel,
             .stride = o.stride,
             .padding = both_sides(o.padding),
             .dilation = dilation,
             .ceil_mode = o.ceil_mode};
  for (std::size_t i = 0; i < 2; ++i)
    if (w.stride[i] == kKernelStride) w.stride[i] = w.kernel[i];
  windows_of(op, x.shape(), w);
  for (std::size_t i = 0; i < 2; ++i) require_half(op, o.padding[i], o.kernel[i], 2 + i);
  return w;
}

/// The window of options over l, as one over images of height 1.
template <class Options>
Window2d pool_window_1d(const char* op, const Tensor& x, const Options& o, std::int64_t dilation = 1) {
  require_defined(op, x);
  if (x.rank() != 3)
    throw ShapeError(
        fmt::format("{}: the input is {}; it must be [n, c, l]: a batch of sequences with channels",
                    op_label(op), to_string(x.shape())));
  const Window2d w{.kernel = {1, o.kernel},
                   .stride = {1, o.stride == kKernelStride ? o.kernel : o.stride},
                   .padding = both_sides({0, o.padding}),
                   .dilation = {1, dilation},
                   .ceil_mode = o.ceil_mode};
  windows_along(op, x.shape(), 2, w, 1);
  require_half(op, o.padding, o.kernel, 2);
  return w;
}

/// f of x [n, c, l] as images [n, c, 1, l], of which f makes [n, c, 1, windows]: [n, c, windows].
template <class F>
Tensor on_rows(const Tensor& x, F&& f) {
  return squeeze(f(unsqueeze(x, 2)), 2);
}

}  // namespace tapegrad::detail
