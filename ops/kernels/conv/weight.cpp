#include <algorithm>

#include <tapegrad/ops/kernels/conv/conv.h>
#include <tapegrad/ops/kernels/conv/depthwise_weight.h>
#include <tapegrad/ops/kernels/conv/shifted_rows.h>
#include <tapegrad/ops/kernels/conv/weight_dots.h>
#include <tapegrad/ops/kernels/conv/weight_slices.h>
#include <tapegrad/ops/kernels/conv/winograd_weight.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>

namespace tapegrad::detail {

namespace {

constexpr std::int64_t kNearResults = 1 << 15;
/// Results that are worth sums of their own, and multiply-adds.
constexpr std::int64_t kChunkResults = 1 << 10;
constexpr double kChunkWork = 1 << 20;
constexpr std::int64_t kTasks = 8;
/// Of a vector of results, in terms of kFillCost.
constexpr double kPackCost = 16;

/// The sums of a few lines of results: w^T [rows, columns, in, out] = x^T y, where the elements of x that a weight
/// meets lie in a row of the padded copy, and y is packed with zeros where the copy has numbers between its lines.
/// The sums of a panel of results lie together.
template <class T>
class WeightSums {
 public:
  WeightSums(const ConvShape& s, const T* x, const T* y)
      : s_(s),
        x_(x),
        y_(y),
        rows_(forward_walk(s.rows)),
        columns_(forward_walk(s.columns)),
        k_(gemm_kernels<T>()),
        panel_(2 * k_.lanes),
        width_(width_of_slices(s.out, weights(), k_.lanes)),
        copies_(cheaper_copies([this](TapCopies c) { return cost_of_line(c); })),
        lines_(lines_with(copies_)),
        padded_(rows_, columns_, copies_, s.in, lines_) {}

  /// Results are taken in slices, so that the sums of one stay near.
  std::int64_t slices() const { return blocks_of(s_.out, width_); }
  /// Elements of the sums of a slice.
  std::int64_t size() const { return weights() * width_; }
  std::int64_t blocks() const { return s_.batch * blocks_of_image(); }

  /// Adds those of a block of the lines of an image.
  void add(std::int64_t block, std::int64_t group, std::int64_t slice, T* sums) const {
    const std::int64_t image = block / blocks_of_image();
    const std::int64_t line = block % blocks_of_image() * lines_;
    const std::int64_t lines = std::min(lines_, s_.rows.windows - line);
    const std::int64_t depth = (lines - 1) * padded_.pitch() + s_.columns.windows;
    const std::int64_t first = image * s_.groups + group;
    const std::int64_t results_at = (first * s_.out + slice * width_) * s_.output_plane();
    Workspace<T> source(padded_.size());
    Workspace<T> results(depth * width_);
    dispatch_isa([&] {
      padded_.fill(x_ + first * s_.in * s_.input_plane(), x_ + s_.input_size(), line, source.data());
    });
    pack(y_ + results_at + line * s_.columns.windows, s_.out - slice * width_, lines, depth, results.data());
    const Partition steps = Partition::into(depth, k_.depth);
    for (std::int64_t s = 0; s < steps.count(); ++s) {
      const auto [p0, p1] = chunk(steps, s);
      for (std::int64_t o = 0; o < width_; o += panel_) {
        const std::int64_t columns = std::min(panel_, width_ - o);
        multiply(source.data() + p0, p1 - p0, results.data() + o * depth + p0 * columns, columns,
                 sums + o * weights());
      }
    }
  }

  /// Writes the weights of a slice: the sums of `chunks`, which lie `step_of_chunks` apart.
  void write(const T* sums, std::int64_t chunks, std::int64_t step_of_chunks, std::int64_t group,
             std::int64_t slice, Destination<T> w) const {
    const std::int64_t area = s_.kernel_plane();
    const std::int64_t first = slice * width_;
    const std::int64_t count = std::min(width_, s_.out - first);
    dispatch_isa([&] {
      w.choose([&](auto put) {
        const std::int64_t step = std::min(kUnroll, panel_);
        for (std::int64_t c = 0; c < s_.in; ++c)
          for (std::int64_t o = 0; o < count; o += step)
            for (std::int64_t k = 0; k < area; ++k) {
              alignas(64) T sum[kUnroll];
              const std::int64_t panel = o / panel_ * panel_;
              const T* const from =
                  sums + panel * weights() + (k * s_.in + c) * std::min(panel_, width_ - panel) + o - panel;
              for (std::int64_t i = 0; i < kUnroll; ++i) sum[i] = from[i];
              for (std::int64_t chunk = 1; chunk < chunks; ++chunk)
                for (std::int64_t i = 0; i < kUnroll; ++i) sum[i] += from[chunk * step_of_chunks + i];
              T* const to = w.data + ((group * s_.out + first + o) * s_.in + c) * area + k;
              for (std::int64_t i = 0; i < std::min(step, count - o); ++i) put(to[i * s_.in * area], sum[i]);
            }
      });
    });
  }

 private:
  std::int64_t blocks_of_image() const { return blocks_of(s_.rows.windows, lines_); }
  /// Of one result.
  std::int64_t weights() const { return s_.kernel_plane() * s_.in; }

  std::int64_t lines_with(TapCopies copies) const {
    const std::int64_t pitch = ShiftedRows(rows_, columns_, copies, s_.in, 1).pitch();
    return even_blocks(s_.rows.windows, kNearResults / (width_ * pitch));
  }
  double cost_of_line(TapCopies copies) const {
    const std::int64_t lines = lines_with(copies);
    const ShiftedRows padded(rows_, columns_, copies, s_.in, lines);
    const std::int64_t numbers = (lines - 1) * padded.pitch() + s_.columns.windows;
    const std::int64_t packed = padded.pitch() == s_.columns.windows
                                    ? blocks_of(numbers, kUnroll)
                                    : lines * (blocks_of(s_.columns.windows, kUnroll) + 1);
    return (static_cast<double>(numbers * weights() * width_ / k_.lanes) + kFillCost * padded.vectors() +
            kPackCost * static_cast<double>(packed * width_)) /
           static_cast<double>(lines);
  }

  /// Panels of the results, [depth, panel] each, of so many channels or the first of them.
  void pack(const T* y, std::int64_t channels, std::int64_t lines, std::int64_t depth, T* to) const {
    for (std::int64_t o = 0; o < width_; o += panel_) {
      const std::int64_t columns = std::min(panel_, width_ - o);
      const std::int64_t count = std::min(columns, channels - o);
      if (count <= 0) break;  // never read
      T* const panel = to + o * depth;
      const Operand<T> results{y + o * s_.output_plane(), s_.output_plane(), false};
      if (padded_.pitch() == s_.columns.windows) {
        k_.pack(results, count, depth, columns, T{1}, panel);
        continue;
      }
      for (std::int64_t j = 0; j < lines; ++j) {
        T* const row = panel + j * padded_.pitch() * columns;
        k_.pack(results.from(0, j * s_.columns.windows), count, s_.columns.windows, columns, T{1}, row);
        if (j + 1 < lines)
          std::fill(row + s_.columns.windows * columns, row + padded_.pitch() * columns, T{0});
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
    tile.a_step = padded_.channel_step();
    tile.c_step = columns;
    tile.next_step = 0;
    tile.interval = blocks_of(depth, k_.rows[1]);
    const auto* const of_rows = k_.tile[true][columns > k_.lanes];
    const Partition tiles = Partition::into(s_.in, k_.rows[1]);
    for (std::int64_t ty = 0; ty < rows_.taps; ++ty)
      for (std::int64_t tx = 0; tx < columns_.taps; ++tx)
        for (std::int64_t t = 0; t < tiles.count(); ++t) {
          const auto [i0, i1] = chunk(tiles, t);
          tile.a = x + padded_.shift(ty, tx) + i0 * tile.a_step;
          tile.c = sums + ((ty * columns_.taps + tx) * s_.in + i0) * columns;
          tile.next = tile.c;
          of_rows[i1 - i0 - 1](tile);
        }
  }

  const ConvShape& s_;
  const T* x_;
  const T* y_;
  AxisWalk rows_, columns_;
  const GemmKernels<T>& k_;
  std::int64_t panel_;
  std::int64_t width_;  ///< of a slice, in whole vectors
  TapCopies copies_;
  std::int64_t lines_;
  ShiftedRows padded_;
};

/// Sums of parts of all images, and of these the weights. Returns false, and writes nothing, where the sums do not
/// suffice for them.
template <class Sums, class T, class F>
bool sum_up(const ConvShape& s, const Sums& sums, Destination<T> w, const F& suffice) {
  // As many sums as are worth it are made side by side, and then added up.
  const std::int64_t blocks = sums.blocks();
  const std::int64_t parts = s.groups * sums.slices();
  const double work = static_cast<double>(s.output_size()) * static_cast<double>(s.in * s.kernel_plane());
  const std::int64_t worth =
      std::min(s.batch * s.output_plane() / kChunkResults, static_cast<std::int64_t>(work / kChunkWork));
  const Partition chunks(blocks, std::clamp<std::int64_t>(
                                     worth, 1, std::min(blocks, std::max<std::int64_t>(1, kTasks / parts))));
  Workspace<T> all(chunks.count() * parts * sums.size() + kUnroll);  // whole vectors are read
  parallel_for(chunks.count() * parts, [&](std::int64_t i) {
    const std::int64_t part = i % parts;
    T* const mine = all.data() + i * sums.size();
    std::fill_n(mine, sums.size(), T{0});
    const auto [from, to] = chunk(chunks, i / parts);
    for (std::int64_t b = from; b < to; ++b) sums.add(b, part / sums.slices(), part % sums.slices(), mine);
  });
  if (!suffice(all.data(), chunks.count() * parts * sums.size())) return false;
  parallel_ranges(parts, grain_for(chunks.count() * sums.size()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part)
      sums.write(all.data() + part * sums.size(), chunks.count(), parts * sums.size(), part / sums.slices(),
                 part % sums.slices(), w);
  });
  return true;
}
template <class Sums, class T>
void sum_up(const ConvShape& s, const Sums& sums, Destination<T> w) {
  sum_up(s, sums, w, [](const T*, std::int64_t) { return true; });
}

}  // namespace

template <class T>
void conv_weight(const ConvShape& s, const T* x, const T* y, Destination<T> w) {
  if (s.weight_size() == 0) return;
  if (s.batch == 0 || s.output_plane() == 0) return w.clear(s.weight_size());
  if (PlaneSums<T>::suits(s)) return sum_up(s, PlaneSums<T>(s, x, y), w);
  if (suits_winograd_sums<T>(s) && sum_up(s, WinogradSums<T>(s, x, y), w, WinogradSums<T>::are_finite))
    return;
  if (s.in < s.columns.kernel)  // too few rows of a tile
    sum_up(s, WeightDots<T>(s, x, y), w);
  else
    sum_up(s, WeightSums<T>(s, x, y), w);
}

template TAPEGRAD_API void conv_weight<float>(const ConvShape&, const float*, const float*,
                                              Destination<float>);
template TAPEGRAD_API void conv_weight<double>(const ConvShape&, const double*, const double*,
                                               Destination<double>);

}  // namespace tapegrad::detail
