#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/normalize.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>

/// How x [items, channels, inner] is cut into tiles, each a matrix of items and of neighbouring elements: of features
/// (inner 1) each column has numbers of its own, of planes all columns belong to one channel.
namespace tapegrad::detail {

inline constexpr std::int64_t kSummedRows = 32;  // few enough to be summed in the type of the elements
inline constexpr std::int64_t kTile = 256;  // features: a block of their rows stays in the first-level cache

struct TileOfChannels {
  std::int64_t part;  ///< of those that each channel is cut into
  std::int64_t rows;
  std::int64_t stride;   ///< from row to row
  std::int64_t width;    ///< elements of a row
  std::int64_t first;    ///< where the tile begins in x
  std::int64_t channel;  ///< of the first column
};

/// Numbers of the columns of a tile of features.
template <class V>
struct NumbersOfColumns {
  alignas(64) V v[kTile];
  static constexpr std::int64_t count(std::int64_t width) { return width; }
  V& operator[](std::int64_t j) { return v[j]; }
  const V& operator[](std::int64_t j) const { return v[j]; }
};

/// A number of all columns of a tile of a plane.
template <class V>
struct NumberOfAll {
  V v;
  static constexpr std::int64_t count(std::int64_t) { return 1; }
  V& operator[](std::int64_t) { return v; }
  const V& operator[](std::int64_t) const { return v; }
};

struct TileOfFeatures : TileOfChannels {
  template <class V>
  using Numbers = NumbersOfColumns<V>;
};
struct TileOfPlane : TileOfChannels {
  template <class V>
  using Numbers = NumberOfAll<V>;
};

/// The same features of so many items that there is enough to do.
class FeatureTiles {
 public:
  explicit FeatureTiles(const ChannelShape& s)
      : rows_(s.items),
        columns_(s.channels),
        width_(std::clamp<std::int64_t>(s.channels, 1, kTile)),
        height_(std::max(kSummedRows, grain_for(width_) / kSummedRows * kSummedRows)) {}

  std::int64_t parts() const { return blocks_of(rows_, height_); }
  /// Elements of a channel in a part.
  std::int64_t elements(std::int64_t part) const { return std::min(height_, rows_ - part * height_); }

  /// f(tile) for each, compiled for each instruction set.
  template <class F>
  void each(const F& f) const {
    const std::int64_t across = blocks_of(columns_, width_), size = std::min(rows_, height_) * width_;
    parallel_ranges(parts() * across, grain_for(size), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const std::int64_t part = t / across, column = t % across * width_;
        const TileOfFeatures tile{{part, elements(part), columns_, std::min(width_, columns_ - column),
                                   part * height_ * columns_ + column, column}};
        dispatch_isa([&] { f(tile); });
      }
    });
  }

 private:
  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t width_;
  std::int64_t height_;
};

/// The same segment of a channel's planes of so many items that there is enough to do.
class PlaneTiles {
 public:
  explicit PlaneTiles(const ChannelShape& s)
      : shape_(s), width_(std::clamp<std::int64_t>(s.inner, 1, kGrain)), height_(grain_for(width_)) {}

  std::int64_t parts() const { return blocks_of(shape_.items, height_) * segments(); }
  std::int64_t elements(std::int64_t part) const { return rows(part) * width(part); }

  template <class F>
  void each(const F& f) const {
    const std::int64_t size = std::min(shape_.items, height_) * width_;
    const std::int64_t stride = shape_.channels * shape_.inner;
    parallel_ranges(parts() * shape_.channels, grain_for(size), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        const std::int64_t part = t / shape_.channels, channel = t % shape_.channels;
        const TileOfPlane tile{{part, rows(part), stride, width(part),
                                first_row(part) * stride + channel * shape_.inner + first_column(part),
                                channel}};
        dispatch_isa([&] { f(tile); });
      }
    });
  }

 private:
  std::int64_t segments() const { return blocks_of(shape_.inner, width_); }
  std::int64_t first_row(std::int64_t part) const { return part / segments() * height_; }
  std::int64_t first_column(std::int64_t part) const { return part % segments() * width_; }
  std::int64_t rows(std::int64_t part) const { return std::min(height_, shape_.items - first_row(part)); }
  std::int64_t width(std::int64_t part) const { return std::min(width_, shape_.inner - first_column(part)); }

  ChannelShape shape_;
  std::int64_t width_;
  std::int64_t height_;
};

/// f(tiles) with the kind that the shape asks for.
template <class F>
void with_tiles(const ChannelShape& shape, const F& f) {
  if (shape.inner == 1)
    f(FeatureTiles(shape));
  else
    f(PlaneTiles(shape));
}

/// A number for each channel from each part: those of the first where the result belongs, the others in memory of
/// their own.
class PartResults {
 public:
  PartResults(std::int64_t parts, std::int64_t channels, double* result)
      : channels_(channels), result_(result), others_((parts - 1) * channels) {}
  double* of(std::int64_t part) { return part ? others_.data() + (part - 1) * channels_ : result_; }
  double* of(const TileOfChannels& tile) { return of(tile.part) + tile.channel; }

 private:
  std::int64_t channels_;
  double* result_;
  Workspace<double> others_;
};

/// f(j, offsets of rows...) for each column and for four rows at a time, then for each row that is left: what
/// belongs to a column is loaded once for four rows.
template <class F>
void by_fours(std::int64_t rows, std::int64_t stride, std::int64_t width, const F& f) {
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const std::int64_t a = r * stride, b = a + stride, c = b + stride, d = c + stride;
    simd_for(width, [&](std::int64_t j) { f(j, a + j, b + j, c + j, d + j); });
  }
  for (; r < rows; ++r) {
    const std::int64_t a = r * stride;
    simd_for(width, [&](std::int64_t j) { f(j, a + j); });
  }
}

/// What lies side by side in a plane's tile as matrices whose columns are sums of their own: each row of the tile as
/// [rows, kLanes], and what is left of all rows together.
inline constexpr std::int64_t kLanes = 32;

struct TileLanes {
  std::int64_t rows;  ///< that a row of the tile has
  std::int64_t rest;  ///< columns that are left of it

  explicit TileLanes(const TileOfPlane& t) : rows(t.width / kLanes), rest(t.width % kLanes) {}
  std::int64_t rest_first() const { return rows * kLanes; }
};

}  // namespace tapegrad::detail
