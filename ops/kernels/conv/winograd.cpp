#include <tapegrad/ops/kernels/conv/winograd.h>

#include <algorithm>

#include <tapegrad/ops/kernels/conv/planes_ahead.h>
#include <tapegrad/ops/kernels/conv/winograd_blocks.h>
#include <tapegrad/ops/kernels/conv/winograd_tiles.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/numbers/real.h>

namespace tapegrad::detail {

namespace {

/// The components of three weights along an axis.
template <class T>
void transform_weights(std::int64_t n, const T* g0, const T* g1, const T* g2, T* to, std::int64_t step) {
  simd_for(n, [&](std::int64_t i) {
    const T ends = g0[i] + g2[i];
    to[i] = g0[i];
    to[step + i] = (ends + g1[i]) * T{0.5};
    to[2 * step + i] = (ends - g1[i]) * T{0.5};
    to[3 * step + i] = g2[i];
  });
}

/// The components of all weights, [groups, components, rows, channels]. Pairs of a row and a channel lie in one order
/// here and there.
template <class T>
void transform_weights(const Correlation<T>& c, T* to) {
  constexpr std::int64_t kPairs = 8 * kUnroll;
  const std::int64_t step = c.rows * c.channels;
  const std::int64_t blocks = blocks_of(step, kPairs);
  const GemmKernels<T>& k = gemm_kernels<T>();
  parallel_ranges(
      c.groups * blocks, grain_for(kPairs * kComponents), [&](std::int64_t from, std::int64_t end) {
        alignas(64) T weights[9 * kPairs], along_y[12 * kPairs];
        // The places of weights in the order of the elements that they meet.
        const auto place = [&](std::int64_t i, std::int64_t j) -> const T* {
          return weights +
                 ((c.y.offset_step > 0 ? i : 2 - i) * 3 + (c.x.offset_step > 0 ? j : 2 - j)) * kPairs;
        };
        for (std::int64_t b = from; b < end; ++b) {
          const std::int64_t group = b / blocks;
          const std::int64_t first = b % blocks * kPairs;
          const std::int64_t count = std::min(kPairs, step - first);
          k.pack(Operand<T>{c.weights + (group * step + first) * 9, 9, false}, count, 9, kPairs, T{1},
                 weights);
          T* const block_to = to + group * kComponents * step + first;
          dispatch_isa([&] {
            const std::int64_t whole = whole_vectors(count);
            for (std::int64_t j = 0; j < 3; ++j)
              transform_weights(whole, place(0, j), place(1, j), place(2, j), along_y + j * kPairs,
                                3 * kPairs);
            for (std::int64_t i = 0; i < 4; ++i) {
              const T* const g = along_y + 3 * i * kPairs;
              transform_weights(count, g, g + kPairs, g + 2 * kPairs, block_to + 4 * i * step, step);
            }
          });
        }
      });
}

/// The tiles of a block.
template <class T>
class Block {
 public:
  Block(const Correlation<T>& c, const TileBlocks& blocks, const T* weights, const TilePlace& place)
      : c_(c), k_(gemm_kernels<T>()), blocks_(blocks), weights_(weights), place_(place) {
    lines_ = std::min(blocks.lines, blocks.lines_of_image - place.line);
    tiles_ = lines_ * blocks.columns;
    height_ = std::min(2 * lines_, c.y.results - 2 * place.line);
    pitch_ = pitch_of_tiles(tiles_, place.images);
  }

  /// All rows; meanwhile calls for what block `next` reads.
  void run(const TilePlace& next) const {
    const std::int64_t source_step = c_.channels * pitch_ + kUnroll;
    Workspace<T> source(kComponents * source_step);
    transform_source(source.data(), source_step);
    const std::int64_t most =
        even_blocks(c_.rows, std::max(k_.rows[1], kNearComponents / (kComponentBytes<T> * pitch_)));
    const std::int64_t result_step = most * pitch_ + kUnroll;
    Workspace<T> results(kComponents * result_step);
    Workspace<bool> again(place_.images * c_.rows);
    PlanesAhead<T> sources = sources_of(next);
    for (std::int64_t row = 0; row < c_.rows; row += most) {
      const std::int64_t rows = std::min(most, c_.rows - row);
      PlanesAhead<T> targets(target(0, row), height_ * c_.x.target, rows, c_.y.target * c_.x.target);
      for (std::int64_t i = 0; i < kComponents; ++i)
        multiply(weights_ + ((place_.group * kComponents + i) * c_.rows + row) * c_.channels, rows,
                 source.data() + i * source_step, results.data() + i * result_step, targets, sources);
      write(results.data(), result_step, row, rows, again.data());
    }
    for (std::int64_t i = 0; i < place_.images; ++i) take_sums(i, again.data() + i * c_.rows);
  }

 private:
  /// The first element that is written of a row, in image `image` of the block.
  T* target(std::int64_t image, std::int64_t row) const {
    const std::int64_t channel = ((place_.image + image) * c_.groups + place_.group) * c_.rows + row;
    return c_.target.data + (channel * c_.y.target + 2 * place_.line) * c_.x.target;
  }
  const T* source(const TilePlace& place) const {
    return c_.source + (place.image * c_.groups + place.group) * c_.channels * c_.y.source * c_.x.source;
  }
  PlanesAhead<T> sources_of(const TilePlace& p) const {
    const std::int64_t first = std::clamp<std::int64_t>(2 * p.line + c_.y.least_shift(), 0, c_.y.source);
    const std::int64_t rows = std::min(2 * blocks_.lines + 2, c_.y.source - first);
    return {source(p) + first * c_.x.source, rows * c_.x.source, p.images * c_.channels,
            c_.y.source * c_.x.source};
  }

  void transform_source(T* to, std::int64_t step) const {
    SourceTiles<T> tiles(c_.y, c_.x, place_.line, lines_, c_.channels);
    dispatch_isa([&] {
      for (std::int64_t i = 0; i < place_.images; ++i) {
        const TilePlace image{place_.image + i, 1, place_.line, place_.group};
        tiles.transform(c_.channels, source(image), to + i * tiles_, pitch_, step);
      }
    });
  }

  /// Of one component.
  void multiply(const T* weights, std::int64_t rows, const T* source, T* results, PlanesAhead<T>& targets,
                PlanesAhead<T>& sources) const {
    const std::int64_t columns = place_.images * tiles_;
    const std::int64_t panel = 2 * k_.lanes;
    const Partition steps = Partition::into(c_.channels, k_.depth);
    const Partition parts = Partition::into(rows, k_.rows[1]);
    for (std::int64_t s = 0; s < steps.count(); ++s) {
      const auto [p0, p1] = chunk(steps, s);
      Tile<T> tile;
      tile.depth = p1 - p0;
      tile.a_step = c_.channels;
      tile.b_step = pitch_;
      tile.c_step = pitch_;
      tile.start = {s > 0 ? T{1} : T{0}, nullptr};
      tile.interval = blocks_of(tile.depth, k_.rows[1]);
      for (std::int64_t j = 0; j < columns; j += panel) {
        const std::int64_t vectors = columns - j > k_.lanes ? 2 : 1;
        tile.columns = vectors * k_.lanes;
        tile.b = source + p0 * pitch_ + j;
        for (std::int64_t t = 0; t < parts.count(); ++t) {
          const auto [i0, i1] = chunk(parts, t);
          tile.a = weights + i0 * c_.channels + p0;
          tile.c = results + i0 * pitch_ + j;
          if (!targets.call_in(tile)) sources.call_in(tile);
          k_.tile[true][vectors - 1][i1 - i0 - 1](tile);
        }
      }
    }
  }

  /// So many rows from `row` on, from their components; `again` says which of them, of each image, are not finite, and
  /// not written.
  void write(const T* from, std::int64_t step, std::int64_t row, std::int64_t rows, bool* again) const {
    ResultTiles<T> tiles(lines_, blocks_.columns);
    dispatch_isa([&] {
      for (std::int64_t i = 0; i < place_.images; ++i)
        for (std::int64_t r = row; r < row + rows; ++r) {
          const bool finite = tiles.transform(from + (r - row) * pitch_ + i * tiles_, step);
          if (finite) write_row(tiles, i, r);
          again[i * c_.rows + r] = !finite;
        }
    });
  }

  /// A part of a loop for an instruction set.
  void write_row(const ResultTiles<T>& tiles, std::int64_t image, std::int64_t row) const {
    const T bias = c_.bias ? c_.bias[place_.group * c_.rows + row] : T{0};
    T* const to = target(image, row);
    const auto sum = [&](T v) { return v + bias; };
    if (c_.relu)
      tiles.write(height_, c_.x.target, to, WriteTo{},
                  [&](T v) { return maximum(Real<T>{sum(v)}, Real<T>{0}).v; });
    else
      c_.target.choose([&](auto put) { tiles.write(height_, c_.x.target, to, put, sum); });
  }

  /// Rows of an image that have to be made again, as sums. Which ones are made together depends on nothing else.
  void take_sums(std::int64_t image, const bool* again) const {
    for (std::int64_t row = 0, end; row < c_.rows; row = end + 1) {
      end = std::find(again + row, again + c_.rows, false) - again;
      if (end > row) take_sums(image, row, end - row);
    }
  }
  void take_sums(std::int64_t image, std::int64_t row, std::int64_t rows) const {
    Correlation<T> part = c_;
    part.batch = part.groups = 1;
    part.rows = rows;
    part.y.results = height_;
    part.y.offset_first += 2 * place_.line;
    part.source = source({place_.image + image, 1, place_.line, place_.group});
    const std::int64_t first = place_.group * c_.rows + row;
    part.weights += first * c_.depth();
    if (part.bias) part.bias += first;
    part.target.data = target(image, row);
    part.run_sums();
  }

  const Correlation<T>& c_;
  const GemmKernels<T>& k_;
  const TileBlocks& blocks_;
  const T* weights_;
  TilePlace place_;
  std::int64_t lines_;   ///< of tiles
  std::int64_t tiles_;   ///< of an image
  std::int64_t height_;  ///< results along y
  std::int64_t pitch_;   ///< from a row of tiles to the next one
};

bool has_three_taps(const AxisWalk& walk) {
  return walk.taps == 3 && walk.stride == 1 && (walk.offset_step == 1 || walk.offset_step == -1) &&
         walk.weight_step == 1 && walk.to_step == 1 && walk.results == walk.target;
}

}  // namespace

// Measured beside the sums, for both types and all instruction sets, for one image and for many. With fewer channels or
// rows, the transforms of tiles take what the products save. The tiles of an image alone have to be enough, for the way
// must not depend on how many images there are.
template <class T>
bool suits_winograd(const Correlation<T>& c) {
  if (!has_three_taps(c.y) || !has_three_taps(c.x) || c.channels < 16 || c.rows < 8) return false;
  const std::int64_t columns = tiles_along(c.x);
  return tiles_along(c.y) * columns >= least_tiles<T>(c.rows * c.channels) &&
         columns * c.channels <= kMostOfLine;
}

template <class T>
void run_winograd(const Correlation<T>& c) {
  Workspace<T> weights(c.groups * kComponents * c.rows * c.channels);
  transform_weights(c, weights.data());
  const std::int64_t lanes = gemm_kernels<T>().lanes;
  // A tile's results are the same in any block, so each thread may get one.
  const TileBlocks blocks(c.y, c.x, c.batch, most_near_tiles<T>(c.channels, lanes),
                          blocks_of(c.batch * c.groups, threads_here()), lanes);
  const auto place = [&](std::int64_t i) {
    TilePlace p = blocks[i / c.groups];
    p.group = i % c.groups;
    return p;
  };
  const std::int64_t count = blocks.count() * c.groups;
  // Of neighbouring blocks, each calls for what the next one reads.
  parallel_ranges(
      count, std::max<std::int64_t>(1, count / (4 * threads_here())),
      [&](std::int64_t from, std::int64_t end) {
        for (std::int64_t i = from; i < end; ++i)
          Block<T>(c, blocks, weights.data(), place(i)).run(i + 1 < end ? place(i + 1) : TilePlace{});
      });
}

template bool suits_winograd<float>(const Correlation<float>&);
template bool suits_winograd<double>(const Correlation<double>&);
template void run_winograd<float>(const Correlation<float>&);
template void run_winograd<double>(const Correlation<double>&);

}  // namespace tapegrad::detail
