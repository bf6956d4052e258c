#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/axis.h>
#include <tapegrad/ops/kernels/conv/shifted_rows.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>

/// The copy of a band of a plane's lines with zeros around it, for strides of 1 and 2.
namespace tapegrad::detail {

/// It lies as shared copies of ShiftedRows do: elements of one phase side by side, in planes of their own, and between
/// lines zeros for the end of the one and the start of the other.
template <class T>
class BandCopy {
 public:
  /// Whether there is one: taps that lie farther apart than the plane is long would have mostly zeros.
  static bool suits(const AxisWalk& y, const AxisWalk& x) {
    const auto near = [](const AxisWalk& a) {
      return a.stride <= 2 && a.phases() == a.stride && a.most_shift() - a.least_shift() <= a.phase_length();
    };
    return near(y) && near(x);
  }
  /// Lines of results whose copy stays in the first level of cache, or near it.
  static std::int64_t lines_of_bands(const AxisWalk& y, const AxisWalk& x) {
    constexpr std::int64_t kNear = 1 << 13;
    constexpr std::int64_t kLeast = 8;  // or lines that two bands share would be copied too often
    return even_blocks(y.results, std::max(kLeast, kNear / (BandCopy(y, x, 1).pitch_ * x.stride * y.stride)));
  }

  BandCopy(const AxisWalk& y, const AxisWalk& x, std::int64_t lines)
      : y_(y), x_(x), kernels_(gemm_kernels<T>()) {
    const SharedLine line(x);
    lead_ = line.lead;
    pitch_ = line.pitch;
    rows_ = lines + y.most_shift() - y.least_shift();
    plane_ = lead_ + rows_ * pitch_;
  }

  /// Between lines of a phase.
  std::int64_t pitch() const { return pitch_; }
  /// Of the memory that `fill` writes, and what whole vectors read beyond it.
  std::int64_t size() const { return y_.stride * x_.stride * plane_ + 2 * kernels_.lanes; }
  /// Of a tap, from what result 0 of the band's first line reads.
  std::int64_t shift(std::int64_t ty, std::int64_t tx) const {
    return (y_.phase(ty) * x_.stride + x_.phase(tx)) * plane_ + (y_.shift(ty) - y_.least_shift()) * pitch_ +
           x_.shift(tx) + lead_;
  }
  /// From the line of tap 0 to that of tap 1.
  std::int64_t to_next_line() const { return y_.taps > 1 ? shift(1, 0) - shift(0, 0) : 0; }

  /// For results from line `line` on.
  void fill(const T* image, std::int64_t line, T* to) const {
    PlaneCopy<T> copy{.from = nullptr,
                      .from_step = y_.stride * x_.source,
                      .columns = x_.source,
                      .to = to,
                      .phase_step = plane_,
                      .pitch = pitch_,
                      .before = 0,
                      .lines = 0,
                      .after = 0};
    for (std::int64_t phase = 0; phase < y_.stride; ++phase, copy.to += x_.stride * plane_) {
      const std::int64_t row = (line + y_.least_shift()) * y_.stride + phase;
      const std::int64_t first = std::clamp<std::int64_t>(-floor_div(row, y_.stride), 0, rows_);
      const std::int64_t last =
          std::clamp<std::int64_t>(-floor_div(row - y_.source, y_.stride), first, rows_);
      if (last > first) copy.from = image + (row + first * y_.stride) * x_.source;
      copy.before = lead_ + first * pitch_;
      copy.lines = last - first;
      copy.after = (rows_ - last) * pitch_;
      kernels_.copy_plane[x_.stride - 1](copy);
    }
  }

 private:
  AxisWalk y_, x_;
  const GemmKernels<T>& kernels_;
  std::int64_t lead_, pitch_, rows_, plane_;
};

}  // namespace tapegrad::detail
