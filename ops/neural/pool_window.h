#pragma once

#include <cstdint>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/pool.h>
#include <tapegrad/ops/neural/window.h>

#include <fmt/format.h>

/// From the options of a pooling to its window, with what pooling requires beyond windows_along.
namespace tapegrad::detail {

/// Throws ArgumentError where windows could lie in the padding by more than half.
inline void require_half(const char* op, std::int64_t padding, std::int64_t kernel, std::size_t axis) {
  if (padding > kernel / 2)
    throw ArgumentError(
        fmt::format("{}: the padding is {} along axis {}; it may be at most half of the kernel, {}",
                    op_label(op), padding, axis, kernel / 2));
}

/// The window of options over N axes, which nothing has looked at.
template <std::size_t N, class Options>
Window2d given_pool_window(const Options& o, const Sizes<N>& dilation) {
  Sizes<N> stride = o.stride;
  for (std::size_t i = 0; i < N; ++i)
    if (stride[i] == kKernelStride) stride[i] = o.kernel[i];
  Window2d w = window_over(o.kernel, stride, both_sides(o.padding), dilation);
  w.ceil_mode = o.ceil_mode;
  return w;
}

/// The same of pooling x; throws as pool.h says.
template <std::size_t N, class Options>
Window2d pool_window(const char* op, const Tensor& x, const Options& o, const Sizes<N>& dilation) {
  require_images(op, "the input", x, N);
  const Window2d w = given_pool_window(o, dilation);
  for (std::size_t i = 0; i < N; ++i) {
    windows_along(op, x.shape(), 2 + i, w, 2 - N + i);
    require_half(op, o.padding[i], o.kernel[i], 2 + i);
  }
  return w;
}

}  // namespace tapegrad::detail
