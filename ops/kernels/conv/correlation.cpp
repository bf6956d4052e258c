#include <tapegrad/ops/kernels/conv/correlation.h>

#include <algorithm>
#include <type_traits>

#include <tapegrad/ops/kernels/conv/depthwise.h>
#include <tapegrad/ops/kernels/conv/shifted_rows.h>
#include <tapegrad/ops/kernels/conv/winograd.h>
#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/numbers/real.h>

namespace tapegrad::detail {

namespace {

/// Elements of the results that are worked on at once. They stay in the second level of cache.
constexpr std::int64_t kNearResults = 1 << 15;

template <class T>
T above_zero(T x) {
  return maximum(Real<T>{x}, Real<T>{0}).v;
}

/// Whether the sums are the target's elements, in its order.
template <class T>
bool writes_in_place(const Correlation<T>& c, const ShiftedRows& padded) {
  return c.x.to_step == 1 && c.y.to_step == 1 && c.x.results == c.x.target && padded.pitch() == c.x.target;
}

/// A few lines of the results of one image and group.
template <class T>
class Block {
 public:
  Block(const Correlation<T>& c, const ShiftedRows& padded, const std::int64_t* shifts, std::int64_t lines)
      : c_(c), k_(gemm_kernels<T>()), padded_(padded), shifts_(shifts), lines_(lines) {
    panel_ = 2 * k_.lanes;
    step_ = whole_vectors(lines_);
    tiles_ = Partition::into(c_.rows, k_.rows[1]);
  }

  void run(std::int64_t image, std::int64_t group, std::int64_t line) const {
    const std::int64_t lines = std::min(lines_, c_.y.results - line);
    const std::int64_t plane = c_.y.source * c_.x.source;
    const std::int64_t first = image * c_.groups + group;
    const T* const weights = c_.weights + group * c_.rows * c_.depth();
    Workspace<T> source(padded_.size() + panel_);
    dispatch_isa([&] {
      padded_.fill(c_.source + first * c_.channels * plane,
                   c_.source + c_.batch * c_.groups * c_.channels * plane, line, source.data());
    });
    const T* const bias = c_.bias ? c_.bias + group * c_.rows : nullptr;
    if (writes_in_place(c_, padded_)) {
      const std::int64_t width = c_.x.target;
      multiply(source.data(), weights, lines * width,
               {.data = c_.target.data + (first * c_.rows * c_.y.target + line) * width,
                .step = c_.y.target * width,
                .add = c_.target.add,
                .row_start = bias});
      return;
    }
    Workspace<T> results(c_.rows * step_ + kUnroll);  // whole vectors are read
    multiply(source.data(), weights, whole_vectors(lines),
             {.data = results.data(), .step = step_, .row_start = bias});
    write(results.data(), lines, line, first);
  }

 private:
  /// Where the rows of sums go.
  struct Results {
    T* data;
    std::int64_t step;  ///< from a row to the next one
    bool add = false;
    const T* row_start = nullptr;
  };
  std::int64_t whole_vectors(std::int64_t lines) const {
    return blocks_of((lines - 1) * padded_.pitch() + c_.x.results, k_.lanes) * k_.lanes;
  }

  void multiply(const T* source, const T* weights, std::int64_t columns, const Results& results) const {
    const std::int64_t done = c_.rows == 1 ? multiply_row(source, weights, columns, results) : 0;
    const std::int64_t depth = c_.depth();
    const Partition steps = Partition::into(depth, k_.depth);
    for (std::int64_t s = 0; s < steps.count(); ++s) {
      const auto [p0, p1] = chunk(steps, s);
      for (std::int64_t j = done; j < columns; j += panel_) {
        for (std::int64_t t = 0; t < tiles_.count(); ++t) {
          const auto [i0, i1] = chunk(tiles_, t);
          Tile<T> tile;
          tile.depth = p1 - p0;
          tile.a = weights + i0 * depth + p0;
          tile.a_step = depth;
          tile.b = source + j;
          tile.b_step = 0;
          tile.c = results.data + i0 * results.step + j;
          tile.c_step = results.step;
          tile.columns = std::min(panel_, columns - j);
          tile.start = {s > 0 || results.add ? T{1} : T{0}, nullptr};
          if (s == 0 && results.row_start) tile.row_start = results.row_start + i0;
          tile.next = tile.c;
          tile.next_step = 0;
          tile.interval = blocks_of(tile.depth, k_.rows[1]);
          tile.b_shifts = shifts_ + p0;
          k_.shifted_tile[tile.columns > k_.lanes][i1 - i0 - 1](tile);
        }
        if (c_.relu && s + 1 == steps.count())  // while they are near
          relu(results.data + j, results.step, std::min(panel_, columns - j));
      }
    }
  }

  /// A single row's first columns; returns how many.
  std::int64_t multiply_row(const T* source, const T* weights, std::int64_t columns,
                            const Results& results) const {
    const T start = results.row_start ? *results.row_start : T{0};
    const std::int64_t done =
        k_.single_row(source, shifts_, weights, c_.depth(), start, results.add, columns, results.data);
    if (c_.relu) relu(results.data, results.step, done);
    return done;
  }

  /// Of so many columns of all rows.
  void relu(T* results, std::int64_t step, std::int64_t columns) const {
    dispatch_isa([&] {
      for (std::int64_t r = 0; r < c_.rows; ++r, results += step)
        simd_for(columns, [&](std::int64_t i) { results[i] = above_zero(results[i]); });
    });
  }

  void write(const T* results, std::int64_t lines, std::int64_t line, std::int64_t first) const {
    const std::int64_t width = c_.x.target;
    dispatch_isa([&] {
      c_.target.choose([&]<class Put>(Put put) {
        // Lines that follow each other are written in whole vectors: the next line puts right what lies beyond.
        constexpr bool kWrites = std::is_same_v<Put, WriteTo>;
        const bool close = kWrites && c_.x.to_step == 1 && c_.y.to_step == 1 && c_.x.results == width;
        const std::int64_t whole = blocks_of(c_.x.results, kUnroll) * kUnroll;
        for (std::int64_t r = 0; r < c_.rows; ++r) {
          const T* from = results + r * step_;
          T* to = c_.target.data + (first * c_.rows + r) * c_.y.target * width +
                  (c_.y.to_first + line * c_.y.to_step) * width + c_.x.to_first;
          for (std::int64_t j = 0; j < lines; ++j, from += padded_.pitch(), to += c_.y.to_step * width) {
            if (c_.x.to_step == 1)
              simd_for(close && whole <= (lines - j) * width ? whole : c_.x.results,
                       [&](std::int64_t i) { put(to[i], from[i]); });
            else
              for (std::int64_t i = 0; i < c_.x.results; ++i) put(to[i * c_.x.to_step], from[i]);
          }
        }
      });
    });
  }

  const Correlation<T>& c_;
  const GemmKernels<T>& k_;
  const ShiftedRows& padded_;
  const std::int64_t* shifts_;
  std::int64_t lines_;
  std::int64_t panel_;
  std::int64_t step_;  ///< from a row of the results to the next one
  Partition tiles_;
};

/// Of blocks of so many.
template <class T>
double cost_of_line(const Correlation<T>& c, TapCopies copies, std::int64_t lines) {
  const ShiftedRows padded(c.y, c.x, copies, c.channels, lines);
  const std::int64_t numbers = (lines - 1) * padded.pitch() + c.x.results;
  const double products =
      static_cast<double>(c.rows * c.depth() * blocks_of(numbers, gemm_kernels<T>().lanes));
  const double written = static_cast<double>(c.rows * lines * blocks_of(c.x.results, kUnroll));
  return (products + kFillCost * padded.vectors() + (writes_in_place(c, padded) ? 0 : kWriteCost * written)) /
         static_cast<double>(lines);
}

/// Results that meet no weight: where a stride is longer than the kernel.
template <class T>
void write_bias(const Correlation<T>& c) {
  const std::int64_t plane = c.y.target * c.x.target;
  c.target.choose([&](auto put) {
    for (std::int64_t r = 0; r < c.batch * c.groups * c.rows; ++r) {
      const T bias = c.bias ? c.bias[r % (c.groups * c.rows)] : T{0};
      const T value = c.relu ? above_zero(bias) : bias;
      for (std::int64_t j = 0; j < c.y.results; ++j)
        for (std::int64_t i = 0; i < c.x.results; ++i)
          put(c.target.data[r * plane + (c.y.to_first + j * c.y.to_step) * c.x.target + c.x.to_first +
                            i * c.x.to_step],
              value);
    }
  });
}

}  // namespace

template <class T>
void Correlation<T>::run() const {
  if (batch == 0 || rows == 0 || y.results == 0 || x.results == 0) return;
  if (depth() == 0) return write_bias(*this);
  if (suits_planes(*this)) return run_planes(*this);
  if (suits_winograd(*this)) return run_winograd(*this);
  run_sums();
}

template <class T>
void Correlation<T>::run_sums() const {
  const auto lines_of = [&](TapCopies copies) {
    return even_blocks(y.results, kNearResults / (rows * ShiftedRows(y, x, copies, channels, 1).pitch()));
  };
  const TapCopies copies = cheaper_copies([&](TapCopies c) { return cost_of_line(*this, c, lines_of(c)); });
  const std::int64_t lines = lines_of(copies);
  const ShiftedRows padded(y, x, copies, channels, lines);
  Workspace<std::int64_t> shifts(depth());
  std::int64_t* shift = shifts.data();
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t ty = 0; ty < y.taps; ++ty)
      for (std::int64_t tx = 0; tx < x.taps; ++tx)
        *shift++ = c * padded.channel_step() + padded.shift(ty, tx);
  const Block<T> block(*this, padded, shifts.data(), lines);
  const std::int64_t blocks = blocks_of(y.results, lines);
  const std::int64_t work = rows * depth() * lines * x.results;
  constexpr std::int64_t kBlockWork = 1 << 20;
  parallel_ranges(batch * groups * blocks, std::max<std::int64_t>(1, kBlockWork / work),
                  [&](std::int64_t from, std::int64_t to) {
                    for (std::int64_t i = from; i < to; ++i)
                      block.run(i / blocks / groups, i / blocks % groups, i % blocks * lines);
                  });
}

template struct Correlation<float>;
template struct Correlation<double>;

}  // namespace tapegrad::detail
