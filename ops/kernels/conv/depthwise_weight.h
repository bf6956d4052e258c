#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/band_copy.h>
#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/kernels/conv/plane_weights.h>
#include <tapegrad/ops/kernels/conv/weight_dots.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/workspace.h>

/// The gradient of the weights where each channel has a kernel of its own, or a few of them.
namespace tapegrad::detail {

/// Of a band of lines of a plane, all weights of a result at once: an element that is loaded serves all those that it
/// meets. Each is summed up in the lanes of a vector.
template <class T>
class PlaneSums {
 public:
  /// Whether it is made for such shapes.
  static bool suits(const ConvShape& s) {
    return s.in == 1 && s.out <= kMostOfChannel &&
           BandCopy<T>::suits(forward_walk(s.rows), forward_walk(s.columns)) && s.rows.dilation == 1 &&
           s.rows.windows >= kLeastLines && s.rows.kernel >= 3 && s.rows.kernel <= kMostTaps &&
           s.rows.kernel % 2 == 1 && s.columns.kernel <= kMostTaps;
  }

  PlaneSums(const ConvShape& s, const T* x, const T* y)
      : s_(s),
        x_(x),
        y_(y),
        rows_(forward_walk(s.rows)),
        columns_(forward_walk(s.columns)),
        lines_(BandCopy<T>::lines_of_bands(rows_, columns_)),
        copy_(rows_, columns_, lines_),
        k_(gemm_kernels<T>()) {
    for (std::int64_t t = 0; t < columns_.taps; ++t) starts_[t] = copy_.shift(0, t);
  }

  /// Of the results of a group.
  std::int64_t slices() const { return 1; }
  /// Elements of the sums.
  std::int64_t size() const { return s_.out * s_.kernel_plane() * kLanes; }
  std::int64_t blocks() const { return s_.batch * blocks_of_image(); }

  /// Adds those of a block of the lines of an image.
  void add(std::int64_t block, std::int64_t group, std::int64_t, T* sums) const {
    Workspace<T> source(copy_.size());
    PlaneDots<T> plane{.source = source.data(),
                       .pitch = copy_.pitch(),
                       .odd = copy_.to_next_line(),
                       .starts = starts_,
                       .taps = columns_.taps,
                       .y = nullptr,
                       .y_step = s_.columns.windows,
                       .lines = 0,
                       .columns = s_.columns.windows,
                       .sums = nullptr,
                       .next = nullptr,
                       .next_step = s_.rows.stride * s_.columns.size};
    const std::int64_t line = block % blocks_of_image() * lines_;
    const std::int64_t first = block / blocks_of_image() * s_.groups + group;
    copy_.fill(x_ + first * s_.input_plane(), line, source.data());
    plane.next = line_of(block + 1, group);
    plane.lines = std::min(lines_, s_.rows.windows - line);
    for (std::int64_t o = 0; o < s_.out; ++o) {
      plane.y = y_ + (first * s_.out + o) * s_.output_plane() + line * s_.columns.windows;
      plane.sums = sums + o * s_.kernel_plane() * kLanes;
      k_.plane_dots[s_.rows.stride - 1][s_.rows.kernel](plane);
    }
  }

  /// Writes the weights of a group: the sums of `chunks`, which lie `step_of_chunks` apart.
  void write(const T* sums, std::int64_t chunks, std::int64_t step_of_chunks, std::int64_t group,
             std::int64_t, Destination<T> w) const {
    write_lanes(sums, chunks, step_of_chunks, s_.out * s_.kernel_plane(),
                w + group * s_.out * s_.kernel_plane());
  }

 private:
  static constexpr std::int64_t kLanes = PlaneDots<T>::kLanes;

  /// What a block begins with.
  const T* line_of(std::int64_t block, std::int64_t group) const {
    const std::int64_t plane = block / blocks_of_image() * s_.groups + group;
    return x_ + plane * s_.input_plane() +
           block % blocks_of_image() * lines_ * s_.rows.stride * s_.columns.size;
  }
  std::int64_t blocks_of_image() const { return blocks_of(rows_.results, lines_); }

  const ConvShape& s_;
  const T* x_;
  const T* y_;
  AxisWalk rows_, columns_;
  std::int64_t lines_;
  BandCopy<T> copy_;
  const GemmKernels<T>& k_;
  std::int64_t starts_[kMostTaps] = {};
};

}  // namespace tapegrad::detail
