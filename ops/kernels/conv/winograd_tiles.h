#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <tapegrad/ops/kernels/conv/axis.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>

/// The linear maps of Winograd's minimal filtering F(2x2, 3x3), between the planes of images and those of tiles. Along
/// one axis, two results y of three weights g and four elements d of the source are
///
///     m0 = (d0 - d2) g0                 m1 = (d1 + d2) (g0 + g1 + g2) / 2     y0 = m0 + m1 + m2
///     m3 = (d1 - d3) g2                 m2 = (d2 - d1) (g0 - g1 + g2) / 2     y1 = m1 - m2 - m3
///
/// with four multiplications in the place of six; along two axes, with 16 in the place of 36. A tile is 2 x 2 results,
/// and its components are 4 x 4: number 4 i + j is component i along y of component j along x. Tiles lie row by row in
/// a plane of each component, so that the loops go over many tiles at once.
///
/// Loops write whole vectors. What sticks out is written again by what follows, or lies in room that is left for it.
namespace tapegrad::detail {

inline constexpr std::int64_t kComponents = 16;

/// f(i) for i in [0, n) and no other i, the last ones in short vectors.
template <class F>
void simd_exactly(std::int64_t n, const F& f) {
  std::int64_t i = simd_blocks<kUnroll>(0, n, f);
  i = simd_blocks<kUnroll / 2>(i, n, f);
  for (i = simd_blocks<kUnroll / 4>(i, n, f); i < n; ++i) f(i);
}

/// What so many lines of tiles, from line `line` on, read of channels, as components. Parts of loops for an instruction
/// set.
template <class T>
class SourceTiles {
 public:
  SourceTiles(const AxisWalk& y, const AxisWalk& x, std::int64_t line, std::int64_t lines,
              std::int64_t channels)
      : source_(y.source * x.source),
        source_width_(x.source),
        columns_(blocks_of(x.results, 2)),
        rows_(2 * (lines + 1)),
        half_(rows_ * (columns_ + 1)),
        plane_((lines + 1) * columns_ + kUnroll),
        together_(std::clamp<std::int64_t>(kNearElements / (half_ + plane_), 1, channels)),
        padded_(2 * whole_vectors(together_ * half_)),
        halves_(2 * room_for_half()),
        along_x_(together_ * 8 * plane_) {
    const std::int64_t row = 2 * line + y.least_shift();
    const std::int64_t column = x.least_shift();
    top_ = std::clamp<std::int64_t>(-row, 0, rows_);
    bottom_ = std::clamp<std::int64_t>(y.source - row, top_, rows_);
    left_ = std::clamp<std::int64_t>(-column, 0, 2 * columns_ + 2);
    right_ = std::clamp<std::int64_t>(x.source - column, left_, 2 * columns_ + 2);
    first_ = (row + top_) * x.source + column + left_;
    std::fill(padded_.begin(), padded_.end(), T{0});
    std::fill(halves_.begin(), halves_.end(), T{0});
    std::fill(along_x_.begin(), along_x_.end(), T{0});
  }

  std::int64_t tiles() const { return (rows_ / 2 - 1) * columns_; }

  /// Writes whole vectors of tiles() elements of so many channels, `channel_step` from one to the next, in each
  /// component, `step` from one to the next.
  void transform(std::int64_t channels, const T* from, T* to, std::int64_t channel_step, std::int64_t step) {
    // Of several channels at once, so that no loop waits for what the one before has just written.
    for (std::int64_t c = 0; c < channels; c += together_) {
      const std::int64_t count = std::min(together_, channels - c);
      for (std::int64_t i = 0; i < count; ++i) pad(from + (c + i) * source_ + first_, i);
      split(count);
      for (std::int64_t i = 0; i < count; ++i) {
        if (columns_ <= kUnroll / 4)
          along_x<kUnroll / 4>(i);
        else if (columns_ <= kUnroll / 2)
          along_x<kUnroll / 2>(i);
        else
          along_x<kUnroll>(i);
      }
      for (std::int64_t i = 0; i < count; ++i) along_y(i, to + (c + i) * channel_step, step);
    }
  }

 private:
  static constexpr std::int64_t kNearElements = 1 << 10;

  std::int64_t room_for_half() const { return whole_vectors(together_ * half_) + 2 * kUnroll; }

  /// What is around the image stays 0.
  void pad(const T* from, std::int64_t channel) {
    const std::int64_t count = right_ - left_;
    const std::int64_t pitch = 2 * columns_ + 2;
    T* to = padded_.data() + channel * 2 * half_ + top_ * pitch + left_;
    for (std::int64_t r = top_; r < bottom_; ++r, from += source_width_, to += pitch)
      simd_exactly(count, [&](std::int64_t i) { to[i] = from[i]; });
  }

  /// Columns that are even and those that are odd.
  void split(std::int64_t channels) {
    const T* const from = padded_.data();
    T* const even = halves_.data();
    T* const odd = even + room_for_half();
    simd_for(whole_vectors(channels * half_), [&](std::int64_t i) {
      even[i] = from[2 * i];
      odd[i] = from[2 * i + 1];
    });
  }

  /// Components along x of even rows, and then of odd ones.
  template <std::int64_t kBlock>
  void along_x(std::int64_t channel) {
    const T* even = halves_.data() + channel * half_;
    const T* odd = even + room_for_half();
    T* const planes = along_x_.data() + channel * 8 * plane_;
    for (std::int64_t r = 0; r < rows_; ++r, even += columns_ + 1, odd += columns_ + 1) {
      T* const to = planes + r % 2 * 4 * plane_ + r / 2 * columns_;
      simd_blocks<kBlock>(0, blocks_of(columns_, kBlock) * kBlock, [&](std::int64_t i) {
        const T d0 = even[i], d1 = odd[i], d2 = even[i + 1], d3 = odd[i + 1];
        to[i] = d0 - d2;
        to[plane_ + i] = d1 + d2;
        to[2 * plane_ + i] = d2 - d1;
        to[3 * plane_ + i] = d1 - d3;
      });
    }
  }

  void along_y(std::int64_t channel, T* to, std::int64_t step) const {
    const std::int64_t count = whole_vectors(tiles());
    const T* even = along_x_.data() + channel * 8 * plane_;
    for (std::int64_t j = 0; j < 4; ++j, to += step, even += plane_) {
      const T* const odd = even + 4 * plane_;
      simd_for(count, [&](std::int64_t i) {
        const T d0 = even[i], d1 = odd[i], d2 = even[i + columns_], d3 = odd[i + columns_];
        to[i] = d0 - d2;
        to[4 * step + i] = d1 + d2;
        to[8 * step + i] = d2 - d1;
        to[12 * step + i] = d1 - d3;
      });
    }
  }

  std::int64_t source_, source_width_;
  std::int64_t columns_;  ///< of tiles
  std::int64_t rows_;
  std::int64_t half_;                         ///< elements of even columns, or of odd ones
  std::int64_t plane_;                        ///< of a component along x, of even rows or odd ones
  std::int64_t together_;                     ///< channels
  std::int64_t top_, bottom_, left_, right_;  ///< of the image, among the rows and columns that are read
  std::int64_t first_;                        ///< element of a channel that is read
  Workspace<T> padded_, halves_, along_x_;
};

template <class T>
struct Two {
  T first, second;
};
/// Of the components along an axis.
template <class T>
Two<T> results_of(T m0, T m1, T m2, T m3) {
  return {m0 + m1 + m2, m1 - m2 - m3};
}

/// Results of tiles, from components of theirs. Parts of loops for an instruction set.
template <class T>
class ResultTiles {
 public:
  ResultTiles(std::int64_t lines, std::int64_t columns)
      : lines_(lines),
        columns_(columns),
        plane_(2 * whole_vectors(lines * columns)),
        results_(2 * plane_ + kUnroll) {}

  /// Makes the results, and returns whether all of them are finite.
  bool transform(const T* from, std::int64_t step) {
    const std::int64_t tiles = lines_ * columns_;
    T differences[kUnroll] = {};
    for (std::int64_t i = 0; i < tiles; i += kUnroll) {
      alignas(64) T sums[kUnroll];
      T* const even = results_.data() + 2 * i;
      T* const odd = even + plane_;
      const T* const m = from + i;
      TAPEGRAD_INDEPENDENT
      for (std::int64_t k = 0; k < kUnroll; ++k) {
        // By name: what is indexed would stay in memory, and the loop be none over vectors.
        const Two<T> a = results_of(m[k], m[4 * step + k], m[8 * step + k], m[12 * step + k]);
        const Two<T> b = results_of(m[step + k], m[5 * step + k], m[9 * step + k], m[13 * step + k]);
        const Two<T> c = results_of(m[2 * step + k], m[6 * step + k], m[10 * step + k], m[14 * step + k]);
        const Two<T> d = results_of(m[3 * step + k], m[7 * step + k], m[11 * step + k], m[15 * step + k]);
        const auto [y00, y01] = results_of(a.first, b.first, c.first, d.first);
        const auto [y10, y11] = results_of(a.second, b.second, c.second, d.second);
        even[2 * k] = y00;
        even[2 * k + 1] = y01;
        odd[2 * k] = y10;
        odd[2 * k + 1] = y11;
        sums[k] = (y00 + y01) + (y10 + y11);
      }
      // Of a number that is not finite, the difference from itself is NaN.
      if (i + kUnroll <= tiles)
        for (std::int64_t k = 0; k < kUnroll; ++k) differences[k] += sums[k] - sums[k];
      else
        for (std::int64_t k = 0; k < tiles - i; ++k) differences[k] += sums[k] - sums[k];
    }
    bool finite = true;
    for (std::int64_t k = 0; k < kUnroll; ++k) finite &= differences[k] == T{0};
    return finite;
  }

  /// Writes so many rows of results, of `width` columns; element `value(sum)` of each sum.
  template <class Put, class F>
  void write(std::int64_t rows, std::int64_t width, T* to, const Put& put, const F& value) const {
    for (std::int64_t r = 0; r < rows; ++r, to += width) {
      const T* const from = results_.data() + r % 2 * plane_ + r / 2 * 2 * columns_;
      const auto put_one = [&](std::int64_t i) { put(to[i], value(from[i])); };
      // What sticks out of a row that is written, not added to, the next ones write again.
      if (std::is_same_v<Put, WriteTo> && whole_vectors(width) <= (rows - r) * width)
        simd_for(whole_vectors(width), put_one);
      else
        simd_exactly(width, put_one);
    }
  }

 private:
  std::int64_t lines_, columns_;
  std::int64_t plane_;  ///< of even rows, and of odd ones
  Workspace<T> results_;
};

}  // namespace tapegrad::detail
