#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/axis.h>
#include <tapegrad/ops/loops/workspace.h>

/// The copy of a few rows of an image in which a convolution finds its factors side by side.
namespace tapegrad::detail {

/// Where elements lie in it. Its lines are results, and so are its columns, in a row that goes on from line to line:
/// result (j, i) is number j * pitch + i, and reads element number + shift(tap) of the plane of its channel and phase.
/// Between the end of a line and the start of the next one lie zeros for the one and for the other. A line has room for
/// as many columns as there are results; numbers beyond the last result of a line stand for nothing.
class ShiftedRows {
 public:
  /// For `lines` lines of results at once.
  ShiftedRows(const AxisWalk& y, const AxisWalk& x, std::int64_t channels, std::int64_t lines)
      : y_(y), x_(x), channels_(channels) {
    const std::int64_t left = std::max<std::int64_t>(0, -x.least_shift());
    const std::int64_t right = std::max<std::int64_t>(0, x.results + x.most_shift() - x.phase_length());
    pitch_ = std::max(x.results, x.phase_length() + std::max(left, right));
    lead_ = left;
    rows_ = lines + y.most_shift() - y.least_shift();
    plane_ = lead_ + rows_ * pitch_;
  }

  std::int64_t pitch() const { return pitch_; }
  /// From a channel to the next one, in the same phase.
  std::int64_t channel_step() const { return y_.phases() * x_.phases() * plane_; }
  std::int64_t size() const { return channels_ * channel_step(); }
  /// Of a tap in the first channel.
  std::int64_t shift(std::int64_t ty, std::int64_t tx) const {
    const std::int64_t plane = ty % y_.phases() * x_.phases() + tx % x_.phases();
    return plane * plane_ + (y_.shift(ty) - y_.least_shift()) * pitch_ + x_.shift(tx) + lead_;
  }

  /// Fills `to`, size() elements, for results from line `line` on; channels of the image lie one after the other.
  template <class T>
  void fill(const T* image, std::int64_t line, T* to) const {
    for (std::int64_t c = 0; c < channels_; ++c, image += y_.source * x_.source)
      for (std::int64_t py = 0; py < y_.phases(); ++py)
        for (std::int64_t px = 0; px < x_.phases(); ++px, to += plane_)
          fill_plane(image, (line + y_.least_shift()) * y_.stride + y_.phase(py), x_.phase(px), to);
  }

 private:
  /// The rows from source row `row` on, a stride apart.
  template <class T>
  void fill_plane(const T* channel, std::int64_t row, std::int64_t column, T* to) const {
    to = std::fill_n(to, lead_, T{0});
    const std::int64_t length = (x_.source - column + x_.stride - 1) / x_.stride;
    for (std::int64_t i = 0; i < rows_; ++i, row += y_.stride) {
      if (row < 0 || row >= y_.source) {
        to = std::fill_n(to, pitch_, T{0});
        continue;
      }
      const T* const from = channel + row * x_.source + column;
      if (x_.stride == 1)
        std::copy_n(from, length, to);
      else
        for (std::int64_t k = 0; k < length; ++k) to[k] = from[k * x_.stride];
      std::fill(to + length, to + pitch_, T{0});
      to += pitch_;
    }
  }

  AxisWalk y_, x_;
  std::int64_t channels_;
  std::int64_t pitch_, lead_, rows_, plane_;
};

}  // namespace tapegrad::detail
