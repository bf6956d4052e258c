#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/conv/axis.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>

/// The copy of a few rows of an image in which a convolution finds its factors side by side.
namespace tapegrad::detail {

/// What taps of a line share.
enum class TapCopies : std::uint8_t {
  /// Taps of one phase read the same copy, at distances of their own. It is short, but between its lines lie zeros, and
  /// so do numbers without meaning between lines of results.
  shared,
  /// Each tap reads a copy of its own, as long as a line of results: those lie side by side.
  own,
};

/// What it costs to fill a vector of the copy, and to pass one of results on; to multiply two and add them costs 1.
inline constexpr double kFillCost = 16;
inline constexpr double kWriteCost = 8;

/// The copies for which cost(copies) is less.
template <class F>
TapCopies cheaper_copies(const F& cost) {
  return cost(TapCopies::own) < cost(TapCopies::shared) ? TapCopies::own : TapCopies::shared;
}

/// A line of a copy that taps share: its end has zeros enough for the start of the next line as well, and the first one
/// has some before it.
struct SharedLine {
  std::int64_t lead, pitch;

  explicit SharedLine(const AxisWalk& x) : lead(std::max<std::int64_t>(0, -x.least_shift())) {
    const std::int64_t right = std::max<std::int64_t>(0, x.results + x.most_shift() - x.phase_length());
    pitch = std::max(x.results, x.phase_length() + std::max(lead, right));
  }
};

/// Where elements lie in it. Its lines are results, and so are its columns, in a row that goes on from line to line:
/// result (j, i) is number j * pitch + i, and reads element number + shift(tap) of the plane of its channel and phase
/// or, with copies of its own, tap. With shared copies lie zeros between the end of a line and the start of the next
/// one, for the one and for the other. A line has room for as many columns as there are results; numbers beyond the
/// last result of a line stand for nothing.
class ShiftedRows {
 public:
  /// For `lines` lines of results at once.
  ShiftedRows(const AxisWalk& y, const AxisWalk& x, TapCopies copies, std::int64_t channels,
              std::int64_t lines)
      : y_(y), x_(x), own_(copies == TapCopies::own), channels_(channels), pitch_(x.results) {
    if (!own_) {
      const SharedLine line(x);
      lead_ = line.lead;
      pitch_ = line.pitch;
    }
    rows_ = lines + y.most_shift() - y.least_shift();
    plane_ = lead_ + rows_ * pitch_;
  }

  std::int64_t pitch() const { return pitch_; }
  /// From a channel to the next one, in the same phase.
  std::int64_t channel_step() const { return y_.phases() * planes() * plane_; }
  /// Of the memory that `fill` writes: whole vectors may stick out.
  std::int64_t size() const { return channels_ * channel_step() + kUnroll; }
  /// About how many vectors `fill` writes.
  double vectors() const {
    return static_cast<double>(channels_ * y_.phases() * planes() * rows_) *
           static_cast<double>(blocks_of(pitch_, kUnroll));
  }
  /// Of a tap in the first channel.
  std::int64_t shift(std::int64_t ty, std::int64_t tx) const {
    const std::int64_t plane = ty % y_.phases() * planes() + tx % planes();
    const std::int64_t along = own_ ? 0 : x_.shift(tx) + lead_;
    return plane * plane_ + (y_.shift(ty) - y_.least_shift()) * pitch_ + along;
  }

  /// Fills `to`, size() elements, for results from line `line` on; channels of the image lie one after the other, and
  /// what is before `end` may be read.
  template <class T>
  void fill(const T* image, const T* end, std::int64_t line, T* to) const {
    // What all channels have in common is divided out once.
    Workspace<Part> parts(planes());
    for (std::int64_t px = 0; px < planes(); ++px) parts[px] = part(px);
    Workspace<Lines> lines(y_.phases());
    for (std::int64_t py = 0; py < y_.phases(); ++py)
      lines[py] = lines_from((line + y_.least_shift()) * y_.stride + y_.phase(py));
    for (std::int64_t c = 0; c < channels_; ++c, image += y_.source * x_.source)
      for (std::int64_t py = 0; py < y_.phases(); ++py)
        for (std::int64_t px = 0; px < planes(); ++px, to += plane_)
          fill_plane(image, end, lines[py], parts[px], to);
  }

 private:
  /// What a line of a plane holds: zeros, elements of the source that are a stride apart, and zeros up to the pitch.
  struct Part {
    std::int64_t zeros;
    std::int64_t first;
    std::int64_t length;
  };
  std::int64_t planes() const { return own_ ? x_.taps : x_.phases(); }
  Part part(std::int64_t plane) const {
    const std::int64_t first = own_ ? x_.offset(plane) : x_.phase(plane);
    const std::int64_t zeros = std::clamp<std::int64_t>(-floor_div(first, x_.stride), 0, pitch_);
    const std::int64_t end = std::max<std::int64_t>(0, -floor_div(first - x_.source, x_.stride));
    return {zeros, first + zeros * x_.stride, std::clamp<std::int64_t>(end, zeros, pitch_) - zeros};
  }

  /// Which of a plane's lines lie in the image, and in which of its rows the first of them.
  struct Lines {
    std::int64_t first;
    std::int64_t count;
    std::int64_t row;
  };
  /// From source row `row` on, a stride apart.
  Lines lines_from(std::int64_t row) const {
    const std::int64_t first = std::clamp<std::int64_t>(-floor_div(row, y_.stride), 0, rows_);
    const std::int64_t last = std::clamp<std::int64_t>(-floor_div(row - y_.source, y_.stride), first, rows_);
    return {first, last - first, row + first * y_.stride};
  }

  template <class T>
  void fill_plane(const T* channel, const T* end, const Lines& lines, const Part& part, T* to) const {
    zero(lead_, to);
    to += lead_;
    const std::int64_t first = lines.first;
    const std::int64_t inside = part.length == 0 ? 0 : lines.count;
    zero(first * pitch_, to);
    to += first * pitch_;
    const std::int64_t step = y_.stride * x_.source;
    const T* const from = inside > 0 ? channel + lines.row * x_.source + part.first : nullptr;
    if (x_.stride == 1 && step == pitch_ && inside > 0) {  // the rows follow each other here as there
      copy<1>(from, end, (inside - 1) * pitch_ + part.length, to + part.zeros);
      for (std::int64_t i = 0; i < inside; ++i) zero_ends(part, to + i * pitch_);
    } else {
      for (std::int64_t i = 0; i < inside; ++i) {
        copy(from + i * step, end, part.length, to + i * pitch_ + part.zeros);
        zero_ends(part, to + i * pitch_);
      }
    }
    zero((rows_ - first - inside) * pitch_, to + inside * pitch_);
  }
  template <class T>
  void zero_ends(const Part& part, T* row) const {
    for (std::int64_t k = 0; k < part.zeros; ++k) row[k] = T{0};
    for (std::int64_t k = part.zeros + part.length; k < pitch_; ++k) row[k] = T{0};
  }
  template <class T>
  void copy(const T* from, const T* end, std::int64_t count, T* to) const {
    if (x_.stride == 1)
      copy<1>(from, end, count, to);
    else if (x_.stride == 2)
      copy<2>(from, end, count, to);
    else
      for (std::int64_t k = 0; k < count; ++k) to[k] = from[k * x_.stride];
  }
  template <std::int64_t kStride, class T>
  static void copy(const T* from, const T* end, std::int64_t count, T* to) {
    const std::int64_t whole = whole_vectors(count);
    simd_for(end - from >= kStride * whole ? whole : count,
             [&](std::int64_t k) { to[k] = from[k * kStride]; });
  }
  template <class T>
  static void zero(std::int64_t count, T* to) {
    simd_for(whole_vectors(count), [&](std::int64_t k) { to[k] = T{0}; });
  }

  AxisWalk y_, x_;
  bool own_;
  std::int64_t channels_;
  std::int64_t pitch_, lead_ = 0, rows_, plane_;
};

}  // namespace tapegrad::detail
