#include <algorithm>

#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/kernels/conv/padded_rows.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/workspace.h>

namespace tapegrad::detail {

namespace {

constexpr std::int64_t kNearResults = 1 << 15;
constexpr double kChunkWork = 1 << 20;  // multiply-adds that are worth sums of their own
constexpr std::int64_t kMostChunks = 8;

/// The sums of a few lines of results: w^T [rows, columns, in, out] = x^T y, where the elements of x that a weight meets
/// lie in a row of the padded copy, and y is packed with zeros where the copy has numbers between its lines.
template <class T>
class WeightSums {
 public:
  WeightSums(const ConvShape& s, const T* x, const T* y, std::int64_t lines)
      : s_(s),
        x_(x),
        y_(y),
        rows_(forward_walk(s.rows)),
        columns_(forward_walk(s.columns)),
        k_(gemm_kernels<T>()),
        lines_(lines),
        padded_(rows_, columns_, s.in, lines),
        panel_(2 * k_.lanes),
        width_(blocks_of(s.out, k_.lanes) * k_.lanes),
        // One input channel or a few are too few rows of a tile; of the weights of a line there are more.
        by_columns_(s.in < s.columns.kernel && s.columns.stride == 1) {}

  /// Elements of the sums of one group.
  std::int64_t size() const { return s_.kernel_plane() * s_.in * width_; }
  std::int64_t blocks() const { return blocks_of(s_.rows.output, lines_); }

  /// Adds those of block `block` of the lines of an image.
  void add(std::int64_t image, std::int64_t group, std::int64_t block, T* sums) const {
    const std::int64_t line = block * lines_;
    const std::int64_t lines = std::min(lines_, s_.rows.output - line);
    const std::int64_t depth = (lines - 1) * padded_.pitch() + s_.columns.output;
    const std::int64_t first = image * s_.groups + group;
    Workspace<T> source(padded_.size());
    Workspace<T> results(depth * width_);
    padded_.fill(x_ + first * s_.in * s_.input_plane(), line, source.data());
    pack(y_ + first * s_.out * s_.output_plane() + line * s_.columns.output, lines, depth, results.data());
    const Partition steps = Partition::into(depth, k_.depth);
    for (std::int64_t s = 0; s < steps.count(); ++s) {
      const auto [p0, p1] = chunk(steps, s);
      for (std::int64_t o = 0; o < width_; o += panel_) {
        const std::int64_t columns = std::min(panel_, width_ - o);
        multiply(source.data() + p0, p1 - p0, results.data() + o * depth + p0 * columns, columns, sums + o);
      }
    }
  }

 private:
  /// Panels of the results, [depth, panel] each.
  void pack(const T* y, std::int64_t lines, std::int64_t depth, T* to) const {
    for (std::int64_t o = 0; o < width_; o += panel_) {
      const std::int64_t columns = std::min(panel_, width_ - o);
      const std::int64_t count = std::min(columns, s_.out - o);
      T* const panel = to + o * depth;
      for (std::int64_t j = 0; j < lines; ++j) {
        T* const row = panel + j * padded_.pitch() * columns;
        const Operand<T> from{y + o * s_.output_plane() + j * s_.columns.output, s_.output_plane(), false};
        k_.pack(from, count, s_.columns.output, columns, T{1}, row);
        if (j + 1 < lines)
          std::fill(row + s_.columns.output * columns, row + padded_.pitch() * columns, T{0});
      }
    }
  }

  void multiply(const T* x, std::int64_t depth, const T* y, std::int64_t columns, T* sums) const {
    Tile<T> tile;
    tile.depth = depth;
    tile.b = y;
    tile.b_step = columns;
    tile.columns = columns;
    tile.start = {T{1}, nullptr};
    tile.next_step = 0;
    tile.interval = depth;
    tile.a_step = by_columns_ ? columns_.offset_step : padded_.channel_step();
    tile.c_step = by_columns_ ? s_.in * width_ : width_;
    const auto* const of_rows = k_.tile[true][columns > k_.lanes];
    const Partition tiles = Partition::into(by_columns_ ? columns_.taps : s_.in, k_.rows[1]);
    const auto row_of_tiles = [&](std::int64_t at, T* to) {
      for (std::int64_t t = 0; t < tiles.count(); ++t) {
        const auto [i0, i1] = chunk(tiles, t);
        tile.a = x + at + i0 * tile.a_step;
        tile.c = to + i0 * tile.c_step;
        tile.next = tile.c;
        of_rows[i1 - i0 - 1](tile);
      }
    };
    for (std::int64_t ty = 0; ty < rows_.taps; ++ty) {
      T* const of_line = sums + ty * columns_.taps * s_.in * width_;
      if (by_columns_)
        for (std::int64_t c = 0; c < s_.in; ++c)
          row_of_tiles(padded_.shift(ty, 0) + c * padded_.channel_step(), of_line + c * width_);
      else
        for (std::int64_t tx = 0; tx < columns_.taps; ++tx)
          row_of_tiles(padded_.shift(ty, tx), of_line + tx * s_.in * width_);
    }
  }

  const ConvShape& s_;
  const T* x_;
  const T* y_;
  AxisWalk rows_, columns_;
  const GemmKernels<T>& k_;
  std::int64_t lines_;
  PaddedRows padded_;
  std::int64_t panel_;
  std::int64_t width_;  ///< of a row of sums: results in whole vectors
  bool by_columns_;

 public:
  /// w = the sums of `chunks` of all groups, each size() elements.
  void write(const T* sums, std::int64_t chunks, Destination<T> w) const {
    w.choose([&](auto put) {
      for (std::int64_t g = 0; g < s_.groups; ++g)
        for (std::int64_t o = 0; o < s_.out; ++o)
          for (std::int64_t c = 0; c < s_.in; ++c) {
            T* const to = w.data + ((g * s_.out + o) * s_.in + c) * s_.kernel_plane();
            for (std::int64_t k = 0; k < s_.kernel_plane(); ++k) {
              const T* const from = sums + g * size() + (k * s_.in + c) * width_ + o;
              T sum = from[0];
              for (std::int64_t i = 1; i < chunks; ++i) sum += from[i * s_.groups * size()];
              put(to[k], sum);
            }
          }
    });
  }
};

}  // namespace

template <class T>
void conv_weight(const ConvShape& s, const T* x, const T* y, Destination<T> w) {
  if (s.weight_size() == 0) return;
  if (s.batch == 0 || s.output_plane() == 0) return w.clear(s.weight_size());
  const std::int64_t pitch = PaddedRows(forward_walk(s.rows), forward_walk(s.columns), s.in, 1).pitch();
  const std::int64_t lines = std::clamp<std::int64_t>(kNearResults / (s.out * pitch), 1, s.rows.output);
  const WeightSums<T> sums(s, x, y, lines);
  // As many sums as are worth it are made side by side, and then added up.
  const std::int64_t blocks = s.batch * sums.blocks();
  const double work = static_cast<double>(s.output_size()) * static_cast<double>(s.in * s.kernel_plane());
  const Partition chunks(blocks, std::clamp<std::int64_t>(static_cast<std::int64_t>(work / kChunkWork), 1,
                                                          std::min(kMostChunks, blocks)));
  Workspace<T> all(chunks.count() * s.groups * sums.size());
  parallel_for(chunks.count() * s.groups, [&](std::int64_t i) {
    T* const mine = all.data() + i * sums.size();
    std::fill_n(mine, sums.size(), T{0});
    const auto [from, to] = chunk(chunks, i / s.groups);
    for (std::int64_t b = from; b < to; ++b)
      sums.add(b / sums.blocks(), i % s.groups, b % sums.blocks(), mine);
  });
  sums.write(all.data(), chunks.count(), w);
}

template TAPEGRAD_API void conv_weight<float>(const ConvShape&, const float*, const float*,
                                              Destination<float>);
template TAPEGRAD_API void conv_weight<double>(const ConvShape&, const double*, const double*,
                                               Destination<double>);

}  // namespace tapegrad::detail
