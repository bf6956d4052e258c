#include <tapegrad/ops/kernels/conv/conv.h>

#include <algorithm>

#include <tapegrad/ops/kernels/conv/correlation.h>
#include <tapegrad/ops/kernels/conv/depthwise.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>

namespace tapegrad::detail {

template <class T>
void conv(const ConvShape& s, const T* x, const T* w, const T* bias, Destination<T> y, Epilogue epilogue) {
  Correlation<T>{.batch = s.batch,
                 .groups = s.groups,
                 .channels = s.in,
                 .rows = s.out,
                 .y = forward_walk(s.rows),
                 .x = forward_walk(s.columns),
                 .source = x,
                 .weights = w,
                 .bias = bias,
                 .target = y,
                 .relu = epilogue == Epilogue::relu}
      .run();
}

namespace {

/// The weights that the walks meet, [groups, in, out, taps] from [groups, out, in, kernel]: of a few input channels
/// at a time, so that what is read lies together, and what is written in a few places.
template <class T>
void collect_weights(const ConvShape& s, const AxisWalk& y, const AxisWalk& x, const T* w, T* to) {
  constexpr std::int64_t kChannels = 16;
  const std::int64_t blocks = blocks_of(s.in, kChannels);
  const std::int64_t taps = y.taps * x.taps;
  const std::int64_t first = y.weight_first * s.columns.kernel + x.weight_first;
  parallel_ranges(
      s.groups * blocks, grain_for(kChannels * s.out * taps), [&](std::int64_t from, std::int64_t end) {
        for (std::int64_t b = from; b < end; ++b) {
          const std::int64_t g = b / blocks;
          const std::int64_t c0 = b % blocks * kChannels;
          for (std::int64_t o = 0; o < s.out; ++o)
            for (std::int64_t c = c0; c < std::min(c0 + kChannels, s.in); ++c) {
              const T* kernel = w + ((g * s.out + o) * s.in + c) * s.kernel_plane() + first;
              T* tap = to + ((g * s.in + c) * s.out + o) * taps;
              for (std::int64_t ty = 0; ty < y.taps; ++ty, kernel += y.weight_step * s.columns.kernel)
                for (std::int64_t tx = 0; tx < x.taps; ++tx) *tap++ = kernel[tx * x.weight_step];
            }
        }
      });
}

}  // namespace

// Each element of x lies in one phase of the strides, and in each phase the transposed convolution is a convolution of
// y with some of the weights, whose stride is 1.
template <class T>
void conv_transpose(const ConvShape& s, const T* y, const T* w, const T* bias, Destination<T> x) {
  if (suits_phases<T>(s)) return run_phases(s, y, w, bias, x);
  Workspace<T> weights(s.weight_size());
  for (std::int64_t py = 0; py < s.rows.stride; ++py)
    for (std::int64_t px = 0; px < s.columns.stride; ++px) {
      const AxisWalk rows = transposed_walk(s.rows, py);
      const AxisWalk columns = transposed_walk(s.columns, px);
      collect_weights(s, rows, columns, w, weights.data());
      Correlation<T>{.batch = s.batch,
                     .groups = s.groups,
                     .channels = s.out,
                     .rows = s.in,
                     .y = rows,
                     .x = columns,
                     .source = y,
                     .weights = weights.data(),
                     .bias = bias,
                     .target = x}
          .run();
    }
}

#define TAPEGRAD_INSTANTIATE(T)                                                                      \
  template TAPEGRAD_API void conv<T>(const ConvShape&, const T*, const T*, const T*, Destination<T>, \
                                     Epilogue);                                                      \
  template TAPEGRAD_API void conv_transpose<T>(const ConvShape&, const T*, const T*, const T*, Destination<T>)
TAPEGRAD_INSTANTIATE(float);
TAPEGRAD_INSTANTIATE(double);
#undef TAPEGRAD_INSTANTIATE

}  // namespace tapegrad::detail
