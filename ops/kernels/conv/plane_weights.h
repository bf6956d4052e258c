#pragma once

#include <cstdint>

#include <tapegrad/ops/kernels/conv/axis.h>

/// What the ways through planes that have kernels of their own share.
namespace tapegrad::detail {

inline constexpr std::int64_t kMostTaps = 7;  ///< along an axis
/// Results of a channel: more of them are as fast in tiles of matrix products.
inline constexpr std::int64_t kMostOfChannel = 4;
/// Lines of results: fewer of them share few lines of the source.
inline constexpr std::int64_t kLeastLines = 4;
/// Multiply-adds of a task.
inline constexpr std::int64_t kTaskWork = 1 << 20;

/// Whether there is a kernel for so many lines of taps.
inline bool has_plane_kernel(std::int64_t stride, std::int64_t taps) {
  if (stride == 1) return taps >= 1 && taps <= kMostTaps && taps != 6;
  return stride == 2 && taps >= 3 && taps <= kMostTaps && taps % 2 == 1;
}

/// Weights in the order in which the loops meet them: along a line, and for each place the lines of the source from
/// above.
template <class T>
void order_weights(const AxisWalk& y, const AxisWalk& x, const T* weights, std::int64_t line, T* to) {
  for (std::int64_t k = 0; k < x.taps; ++k)
    for (std::int64_t i = 0; i < y.taps; ++i) {
      const std::int64_t tap = y.offset_step > 0 ? i : y.taps - 1 - i;
      *to++ = weights[(y.weight_first + tap * y.weight_step) * line + x.weight_first + k * x.weight_step];
    }
}

}  // namespace tapegrad::detail
