#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/kernels/conv/shifted_rows.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/workspace.h>

/// The gradient of the weights where a result meets few of them: of one input channel or a few, also of each channel
/// of a depthwise convolution.
namespace tapegrad::detail {

/// Writes `count` numbers that are summed up in the lanes of vectors of 64 bytes: those of `chunks`, which lie
/// `step_of_chunks` apart.
template <class T>
void write_lanes(const T* sums, std::int64_t chunks, std::int64_t step_of_chunks, std::int64_t count,
                 Destination<T> to) {
  constexpr std::int64_t kLanes = DotTile<T>::kLanes;
  to.choose([&](auto put) {
    for (std::int64_t i = 0; i < count; ++i) {
      alignas(64) T lanes[kLanes] = {};
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
        for (std::int64_t k = 0; k < kLanes; ++k) lanes[k] += sums[chunk * step_of_chunks + i * kLanes + k];
      for (std::int64_t half = kLanes / 2; half > 0; half /= 2)
        for (std::int64_t k = 0; k < half; ++k) lanes[k] += lanes[k + half];
      put(to.data[i], lanes[0]);
    }
  });
}

/// A weight's gradient is the product of a row of y with one of the copy of x, in which its tap has copies of its
/// own: both lie in memory as they are multiplied. Each is summed up in the lanes of a vector.
template <class T>
class WeightDots {
 public:
  WeightDots(const ConvShape& s, const T* x, const T* y)
      : s_(s),
        x_(x),
        y_(y),
        rows_(forward_walk(s.rows)),
        columns_(forward_walk(s.columns)),
        lines_(even_blocks(s.rows.windows, kNearResults / s.columns.windows)),
        padded_(rows_, columns_, TapCopies::own, s.in, lines_),
        k_(gemm_kernels<T>()),
        starts_(weights()) {
    std::int64_t* start = starts_.data();
    for (std::int64_t c = 0; c < s.in; ++c)
      for (std::int64_t ty = 0; ty < rows_.taps; ++ty)
        for (std::int64_t tx = 0; tx < columns_.taps; ++tx)
          *start++ = c * padded_.channel_step() + padded_.shift(ty, tx);
  }

  /// Of the results of a group.
  std::int64_t slices() const { return 1; }
  /// Elements of the sums.
  std::int64_t size() const { return s_.out * weights() * kLanes; }
  std::int64_t blocks() const { return s_.batch * blocks_of_image(); }

  /// Adds those of a block of the lines of an image.
  void add(std::int64_t block, std::int64_t group, std::int64_t, T* sums) const {
    const std::int64_t image = block / blocks_of_image();
    const std::int64_t line = block % blocks_of_image() * lines_;
    const std::int64_t lines = std::min(lines_, s_.rows.windows - line);
    const std::int64_t count = lines * s_.columns.windows;
    const std::int64_t first = image * s_.groups + group;
    Workspace<T> source(padded_.size());
    const T* const y = y_ + first * s_.out * s_.output_plane() + line * s_.columns.windows;
    dispatch_isa([&] {
      padded_.fill(x_ + first * s_.in * s_.input_plane(), x_ + s_.input_size(), line, source.data());
    });
    DotTile<T> tile;
    tile.depth = count;
    tile.a = source.data();
    tile.b_step = s_.output_plane();
    tile.sums_step = weights() * kLanes;
    for (std::int64_t o = 0; o < s_.out;) {
      const bool four = o + 4 <= s_.out;
      const std::int64_t rows = GemmKernels<T>::kDotRows[four];
      tile.b = y + o * s_.output_plane();
      for (std::int64_t k = 0; k < weights(); k += rows) {
        tile.a_starts = starts_.data() + k;
        tile.sums = sums + (o * weights() + k) * kLanes;
        k_.dots[std::min(rows, weights() - k) - 1][four](tile);
      }
      o += four ? 4 : 1;
    }
  }

  /// Writes the weights of a group: the sums of `chunks`, which lie `step_of_chunks` apart.
  void write(const T* sums, std::int64_t chunks, std::int64_t step_of_chunks, std::int64_t group,
             std::int64_t, Destination<T> w) const {
    write_lanes(sums, chunks, step_of_chunks, s_.out * weights(), w + group * s_.out * weights());
  }

 private:
  static constexpr std::int64_t kNearResults =
      1 << 10;  // rows of several channels stay in the first level of cache
  static constexpr std::int64_t kLanes = DotTile<T>::kLanes;

  std::int64_t blocks_of_image() const { return blocks_of(s_.rows.windows, lines_); }
  /// Of one result.
  std::int64_t weights() const { return s_.in * s_.kernel_plane(); }
  const ConvShape& s_;
  const T* x_;
  const T* y_;
  AxisWalk rows_, columns_;
  std::int64_t lines_;
  ShiftedRows padded_;
  const GemmKernels<T>& k_;
  Workspace<std::int64_t> starts_;  ///< in the copy of x, of the factors of each weight of a result
};

}  // namespace tapegrad::detail
