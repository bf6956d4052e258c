#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/kernels/conv/planes_ahead.h>
#include <tapegrad/ops/kernels/conv/weight_slices.h>
#include <tapegrad/ops/kernels/conv/winograd_blocks.h>
#include <tapegrad/ops/kernels/conv/winograd_tiles.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/workspace.h>

/// The gradient of weights of 3 x 3 by Winograd's minimal filtering: what tiles of 2 x 2 results and what they read
/// have to do with the weights is, transposed, the same form in the same components. They are summed up over all tiles
/// before they become weights.
namespace tapegrad::detail {

template <class T>
struct Three {
  T first, second, third;
};
/// Three weights, of their components along an axis.
template <class T>
Three<T> weights_of(T m0, T m1, T m2, T m3) {
  const T even = (m1 + m2) * T{0.5};
  return {m0 + even, (m1 - m2) * T{0.5}, even + m3};
}

/// Sums of components, [components, in, out]: those of a panel of results lie together.
template <class T>
class WinogradSums {
 public:
  WinogradSums(const ConvShape& s, const T* x, const T* y)
      : s_(s),
        x_(x),
        y_(y),
        rows_(forward_walk(s.rows)),
        columns_(forward_walk(s.columns)),
        k_(gemm_kernels<T>()),
        panel_(2 * k_.lanes),
        width_(width_of_slices(s.out, kComponents * s.in, k_.lanes)),
        blocks_(rows_, columns_, s.batch, most_near_tiles<T>(s.in, k_.lanes), s.batch, k_.lanes) {}

  std::int64_t slices() const { return blocks_of(s_.out, width_); }
  /// Elements of the sums of a slice.
  std::int64_t size() const { return kComponents * s_.in * width_; }
  std::int64_t blocks() const { return blocks_.count(); }

  /// Adds those of a block of tiles.
  void add(std::int64_t block, std::int64_t group, std::int64_t slice, T* sums) const {
    const TilePlace place = blocks_[block];
    const Tiles t(blocks_, place);
    const std::int64_t source_step = s_.in * t.pitch + kUnroll;
    Workspace<T> source(kComponents * source_step);
    transform_source(place, t, group, source.data(), source_step);
    // Of one panel at a time, which stays near.
    Workspace<T> packed(4 * t.of_image * panel_);
    Workspace<T> results(kComponents * t.all * panel_);
    PlanesAhead<T> x, y;
    if (block + 1 < blocks()) call_for(blocks_[block + 1], group, x, y);
    for (std::int64_t o = 0; o < width_ && slice * width_ + o < s_.out; o += panel_) {
      const std::int64_t columns = std::min(panel_, width_ - o);
      const std::int64_t first = slice * width_ + o;
      for (std::int64_t i = 0; i < place.images; ++i) {
        pack(results_at(place.image + i, group) + first * s_.output_plane(),
             std::min(columns, s_.out - first), columns, place.line, t.lines, packed.data());
        transform(packed.data(), t.lines, columns, results.data() + i * t.of_image * columns,
                  t.all * columns);
      }
      multiply(source.data(), t.pitch, source_step, results.data(), t.all, columns,
               sums + o * kComponents * s_.in, x, y);
    }
  }

  /// Whether the sums, and all that weights are made of by them, are finite.
  static bool are_finite(const T* sums, std::int64_t n) {
    return all_hold(sums, n, [](T v) { return std::abs(v) < std::numeric_limits<T>::max() / 64; });
  }

  /// Writes the weights of a slice: the sums of `chunks`, which lie `step_of_chunks` apart; those of the first are
  /// written over.
  void write(T* sums, std::int64_t chunks, std::int64_t step_of_chunks, std::int64_t group,
             std::int64_t slice, Destination<T> w) const {
    dispatch_isa([&] {
      for (std::int64_t i = 1; i < chunks; ++i) {
        const T* const more = sums + i * step_of_chunks;
        simd_for(size(), [&](std::int64_t k) { sums[k] += more[k]; });
      }
      w.choose([&](auto put) {
        for (std::int64_t o = 0; o < width_; o += panel_)
          for (std::int64_t c = 0; c < s_.in; ++c) {
            const std::int64_t columns = std::min(panel_, width_ - o);
            const std::int64_t first = slice * width_ + o;
            alignas(64) T g[9][kMostPanel];
            make_weights(sums + o * kComponents * s_.in + c * columns, s_.in * columns, columns, g);
            T* to = w.data + ((group * s_.out + first) * s_.in + c) * 9;
            for (std::int64_t k = 0; k < std::min(columns, s_.out - first); ++k, to += s_.in * 9)
              for (std::int64_t i = 0; i < 9; ++i) put(to[i], g[i][k]);
          }
      });
    });
  }

 private:
  static constexpr std::int64_t kMostPanel = 128 / sizeof(T);

  static void make_weights(const T* m, std::int64_t step, std::int64_t columns, T (*g)[kMostPanel]) {
    simd_exactly(columns, [&](std::int64_t k) {
      const Three<T> a = weights_of(m[k], m[4 * step + k], m[8 * step + k], m[12 * step + k]);
      const Three<T> b = weights_of(m[step + k], m[5 * step + k], m[9 * step + k], m[13 * step + k]);
      const Three<T> c = weights_of(m[2 * step + k], m[6 * step + k], m[10 * step + k], m[14 * step + k]);
      const Three<T> d = weights_of(m[3 * step + k], m[7 * step + k], m[11 * step + k], m[15 * step + k]);
      const auto row = [&](std::int64_t i, const Three<T>& r) {
        g[i][k] = r.first;
        g[i + 1][k] = r.second;
        g[i + 2][k] = r.third;
      };
      row(0, weights_of(a.first, b.first, c.first, d.first));
      row(3, weights_of(a.second, b.second, c.second, d.second));
      row(6, weights_of(a.third, b.third, c.third, d.third));
    });
  }

  /// The tiles of a block.
  struct Tiles {
    Tiles(const TileBlocks& blocks, const TilePlace& place)
        : lines(std::min(blocks.lines, blocks.lines_of_image - place.line)),
          of_image(lines * blocks.columns),
          all(place.images * of_image),
          pitch(pitch_of_tiles(of_image, place.images)) {}

    std::int64_t lines;
    std::int64_t of_image;
    std::int64_t all;
    std::int64_t pitch;  ///< from those of a channel of the source to those of the next one
  };

  const T* source_at(std::int64_t image, std::int64_t group) const {
    return x_ + (image * s_.groups + group) * s_.in * s_.input_plane();
  }
  const T* results_at(std::int64_t image, std::int64_t group) const {
    return y_ + (image * s_.groups + group) * s_.out * s_.output_plane();
  }

  /// For what a block reads.
  void call_for(const TilePlace& p, std::int64_t group, PlanesAhead<T>& x, PlanesAhead<T>& y) const {
    const std::int64_t row = std::clamp<std::int64_t>(2 * p.line - s_.rows.before, 0, s_.rows.size);
    x = {source_at(p.image, group) + row * s_.columns.size,
         std::min(2 * blocks_.lines + 2, s_.rows.size - row) * s_.columns.size, p.images * s_.in,
         s_.input_plane()};
    y = {results_at(p.image, group) + 2 * p.line * s_.columns.windows,
         std::min(2 * blocks_.lines, s_.rows.windows - 2 * p.line) * s_.columns.windows, p.images * s_.out,
         s_.output_plane()};
  }

  void transform_source(const TilePlace& p, const Tiles& t, std::int64_t group, T* to,
                        std::int64_t step) const {
    SourceTiles<T> tiles(rows_, columns_, p.line, t.lines, s_.in);
    dispatch_isa([&] {
      for (std::int64_t i = 0; i < p.images; ++i)
        tiles.transform(s_.in, source_at(p.image + i, group), to + i * t.of_image, t.pitch, step);
    });
  }

  /// Results of so many lines of tiles, [line, column, of the panel], with zeros where a tile is cut.
  void pack(const T* y, std::int64_t count, std::int64_t panel, std::int64_t line, std::int64_t lines,
            T* to) const {
    const std::int64_t windows = s_.columns.windows;
    const std::int64_t pitch = 2 * blocks_.columns * panel;
    const Operand<T> from{y, s_.output_plane(), false};
    for (std::int64_t r = 2 * line; r < 2 * (line + lines); ++r, to += pitch) {
      if (r < s_.rows.windows) k_.pack(from.from(0, r * windows), count, windows, panel, T{1}, to);
      const std::int64_t length = r < s_.rows.windows ? windows * panel : 0;
      std::fill(to + length, to + pitch, T{0});
    }
  }

  void transform(const T* from, std::int64_t lines, std::int64_t panel, T* to, std::int64_t step) const {
    const std::int64_t below = 2 * blocks_.columns * panel;
    dispatch_isa([&] {
      for (std::int64_t j = 0; j < lines; ++j, from += below)
        for (std::int64_t i = 0; i < blocks_.columns; ++i, from += 2 * panel, to += panel)
          simd_exactly(panel, [&](std::int64_t k) {
            const T y00 = from[k], y01 = from[panel + k], y10 = from[below + k],
                    y11 = from[below + panel + k];
            const auto row = [&](std::int64_t c, T y0, T y1) {
              T* const t = to + 4 * c * step + k;
              t[0] = y0;
              t[step] = y0 + y1;
              t[2 * step] = y0 - y1;
              t[3 * step] = -y1;
            };
            row(0, y00, y01);
            row(1, y00 + y10, y01 + y11);
            row(2, y00 - y10, y01 - y11);
            row(3, -y10, -y11);
          });
    });
  }

  void multiply(const T* source, std::int64_t pitch, std::int64_t step, const T* results, std::int64_t tiles,
                std::int64_t columns, T* sums, PlanesAhead<T>& x, PlanesAhead<T>& y) const {
    const Partition steps = Partition::into(tiles, k_.depth);
    const Partition parts = Partition::into(s_.in, k_.rows[1]);
    Tile<T> tile;
    tile.a_step = pitch;
    tile.b_step = columns;
    tile.c_step = columns;
    tile.columns = columns;
    tile.start = {T{1}, nullptr};
    const auto* const of_rows = k_.tile[true][columns > k_.lanes];
    for (std::int64_t i = 0; i < kComponents; ++i)
      for (std::int64_t s = 0; s < steps.count(); ++s) {
        const auto [p0, p1] = chunk(steps, s);
        tile.depth = p1 - p0;
        tile.interval = blocks_of(tile.depth, k_.rows[1]);
        tile.b = results + i * tiles * columns + p0 * columns;
        for (std::int64_t t = 0; t < parts.count(); ++t) {
          const auto [i0, i1] = chunk(parts, t);
          tile.a = source + i * step + i0 * pitch + p0;
          tile.c = sums + (i * s_.in + i0) * columns;
          if (!x.call_in(tile)) y.call_in(tile);
          of_rows[i1 - i0 - 1](tile);
        }
      }
  }

  const ConvShape& s_;
  const T* x_;
  const T* y_;
  AxisWalk rows_, columns_;
  const GemmKernels<T>& k_;
  std::int64_t panel_;
  std::int64_t width_;  ///< of a slice, in whole vectors
  TileBlocks blocks_;
};

/// Whether it is made for such shapes, and faster: measured for both types and all instruction sets.
template <class T>
bool suits_winograd_sums(const ConvShape& s) {
  const auto suits = [](const WindowAxis& a) { return a.kernel == 3 && a.stride == 1 && a.dilation == 1; };
  if (!suits(s.rows) || !suits(s.columns) || s.in < 12) return false;
  const std::int64_t columns = tiles_along(forward_walk(s.columns));
  const std::int64_t tiles = s.batch * tiles_along(forward_walk(s.rows)) * columns;
  return tiles >= least_tiles<T>(s.in * s.out) && columns * s.in <= kMostOfLine;
}

}  // namespace tapegrad::detail
