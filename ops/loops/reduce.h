#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <tapegrad/ops/loops/broadcast.h>
#include <tapegrad/ops/loops/fold.h>
#include <tapegrad/ops/loops/row_loops.h>

/// Reductions over any set of axes, in blocks that depend on the shape alone and that the threads share.
namespace tapegrad::detail {

/// Steps through the offsets of the elements along a few axes, the last fastest; after the last comes the
/// first.
class Odometer {
 public:
  void axis(std::int64_t extent, std::int64_t stride) {
    extent_[rank_] = extent;
    stride_[rank_++] = stride;
    count_ *= extent;
  }
  std::int64_t count() const { return count_; }
  std::int64_t offset() const { return offset_; }
  void next() {
    for (std::size_t d = rank_; d-- > 0;) {
      offset_ += stride_[d];
      if (++index_[d] < extent_[d]) return;
      offset_ -= extent_[d] * stride_[d];
      index_[d] = 0;
    }
  }
  /// To the element that `position` steps from the first lead to.
  void seek(std::int64_t position) {
    offset_ = 0;
    for (std::size_t d = rank_; d-- > 0; position /= extent_[d]) {
      index_[d] = position % extent_[d];
      offset_ += index_[d] * stride_[d];
    }
  }
  std::size_t rank() const { return rank_; }
  std::int64_t stride(std::size_t d) const { return stride_[d]; }

 private:
  std::size_t rank_ = 0;
  std::int64_t count_ = 1;
  std::int64_t offset_ = 0;
  std::array<std::int64_t, Shape::kMaxRank> extent_{};
  std::array<std::int64_t, Shape::kMaxRank> stride_{};
  std::array<std::int64_t, Shape::kMaxRank> index_{};
};

/// The axes of a reduction, taken apart. The innermost one is contiguous in the input: a run, which is folded
/// into one element where it is reduced, and otherwise lies along the output.
struct ReductionAxes {
  Odometer kept;     ///< without the run
  Odometer reduced;  ///< without the run
  std::int64_t run;
  bool run_is_reduced;

  /// `layout` is that of the output, broadcast to the input.
  explicit ReductionAxes(const BroadcastLayout& layout) {
    std::array<std::int64_t, Shape::kMaxRank> stride{};
    std::int64_t elements = 1;
    for (std::size_t d = layout.rank; d-- > 0; elements *= layout.extent[d]) stride[d] = elements;
    const std::size_t inner = layout.rank - 1;
    for (std::size_t d = 0; d < inner; ++d)
      (layout.stride[d] ? kept : reduced).axis(layout.extent[d], stride[d]);
    run = layout.extent[inner];
    run_is_reduced = layout.stride[inner] == 0;
  }
};

// ---- across rows ----

inline constexpr std::int64_t kRowBlock = 32;
template <class T>
inline constexpr std::int64_t kColumnBlock = 1024 / sizeof(T);

/// out[j] = the fold of in[offset + j] over the next `count` offsets of `rows`, for j < width <=
/// kColumnBlock.
template <class F, class T>
void fold_rows_loop(const T* in, Odometer& rows, std::int64_t count, std::int64_t width, const T* parameter,
                    T* out) {
  constexpr std::int64_t kWidth = kColumnBlock<T>;
  alignas(64) T level[60][kWidth];
  std::size_t top = 0;
  std::uint64_t pushed = 0;
  const auto p = [&](std::int64_t j) { return F::kParameter ? parameter[j] : T{}; };
  const auto row = [&] {
    const T* start = in + rows.offset();
    rows.next();
    return start;
  };
  const auto merge = [&] {
    --top;
    simd_for(width,
             [&](std::int64_t j) { level[top - 1][j] = F::combine(level[top - 1][j], level[top][j]); });
  };
  for (std::int64_t left = count; left > 0;) {
    T* const sum = level[top++];
    std::int64_t block = std::min(left, kRowBlock);
    left -= block;
    std::fill_n(sum, width, F::kIdentity);
    for (; block >= 4; block -= 4) {
      const T *a = row(), *b = row(), *c = row(), *d = row();
      simd_for(width, [&](std::int64_t j) {
        sum[j] = F::combine(sum[j], F::combine(F::combine(F::map(a[j], p(j)), F::map(b[j], p(j))),
                                               F::combine(F::map(c[j], p(j)), F::map(d[j], p(j)))));
      });
    }
    for (; block > 0; --block) {
      const T* a = row();
      simd_for(width, [&](std::int64_t j) { sum[j] = F::combine(sum[j], F::map(a[j], p(j))); });
    }
    for (std::uint64_t c = pushed++; c & 1; c >>= 1) merge();
  }
  while (top > 1) merge();
  std::copy_n(level[0], width, out);
}

template <class F, class T>
void fold_rows(const T* in, Odometer& rows, std::int64_t count, std::int64_t width, const T* parameter,
               T* out) {
  dispatch_isa_for<T>([&] { fold_rows_loop<F>(in, rows, count, width, parameter, out); });
}

/// The same for rows of a few elements that follow each other in memory: many of them are folded as one.
template <class F, class T>
void fold_narrow_rows(const T* in, std::int64_t count, std::int64_t width, T* out) {
  const std::int64_t together = kColumnBlock<T> / 2 / width;
  const std::int64_t wide = together * width;
  T partial[kColumnBlock<T>];
  Odometer rows;
  rows.axis(count / together, wide);
  fold_rows<F>(in, rows, rows.count(), wide, static_cast<const T*>(nullptr), partial);
  const T* rest = in + count / together * wide;
  const std::int64_t rest_size = count % together * width;
  for (std::int64_t j = 0; j < rest_size; ++j) partial[j] = F::combine(partial[j], F::map(rest[j], T{}));
  for (std::int64_t j = 0; j < width; ++j) {
    PairwiseFold<F, T> fold;
    for (std::int64_t i = j; i < wide; i += width) fold.push(partial[i]);
    out[j] = fold.result();
  }
}

/// Outputs [begin, end) of a reduction along runs.
template <class F, class T>
void reduce_runs(ReductionAxes axes, const T* in, const T* parameter, std::int64_t begin, std::int64_t end,
                 T* out) {
  axes.kept.seek(begin);
  for (std::int64_t o = begin; o < end; ++o, axes.kept.next()) {
    const T* from = in + axes.kept.offset();
    const T p = F::kParameter ? parameter[o] : T{};
    if (axes.reduced.count() == 1) {
      out[o] = axes.run > kFoldRange ? fold_long_run<F>(from, axes.run, p) : fold_run<F>(from, axes.run, p);
      continue;
    }
    PairwiseFold<F, T> fold;
    for (std::int64_t r = 0; r < axes.reduced.count(); ++r, axes.reduced.next())
      fold.push(fold_run<F>(from + axes.reduced.offset(), axes.run, p));
    out[o] = fold.result();
  }
}

/// Rows [begin, end) of a reduction across rows, all columns.
template <class F, class T>
void reduce_rows(ReductionAxes axes, const T* in, const T* parameter, std::int64_t begin, std::int64_t end,
                 T* out) {
  const std::int64_t count = end - begin;
  axes.reduced.seek(begin);
  if constexpr (!F::kParameter) {
    const bool adjacent = axes.reduced.rank() == 1 && axes.reduced.stride(0) == axes.run;
    if (adjacent && axes.run <= kColumnBlock<T> / 8 && count >= kColumnBlock<T> / axes.run)
      return fold_narrow_rows<F>(in + axes.reduced.offset(), count, axes.run, out);
  }
  const std::int64_t columns = kColumnBlock<T>;
  parallel_ranges(blocks_of(axes.run, columns), std::max<std::int64_t>(1, kFoldRange / (columns * count)),
                  [&](std::int64_t first, std::int64_t last) {
                    Odometer rows = axes.reduced;
                    for (std::int64_t j = first * columns; j < std::min(axes.run, last * columns);
                         j += columns) {
                      rows.seek(begin);
                      fold_rows<F>(in + j, rows, count, std::min(columns, axes.run - j),
                                   F::kParameter ? parameter + j : nullptr, out + j);
                    }
                  });
}

/// The same for many rows: the threads share them, in ranges whose results are folded again.
template <class F, class T>
void reduce_many_rows(const ReductionAxes& axes, const T* in, const T* parameter, T* out) {
  const std::int64_t count = axes.reduced.count();
  const std::int64_t together = std::max(kRowBlock, kFoldRange / axes.run);
  if (count < 2 * together) return reduce_rows<F>(axes, in, parameter, 0, count, out);
  const std::int64_t ranges = blocks_of(count, together);
  std::vector<T, PoolAllocator<T>> partial(static_cast<std::size_t>(ranges * axes.run));
  parallel_ranges(count, together, [&](std::int64_t begin, std::int64_t end) {
    reduce_rows<F>(axes, in, parameter, begin, end, partial.data() + begin / together * axes.run);
  });
  ReductionAxes again = axes;
  again.reduced = Odometer();
  again.reduced.axis(ranges, axes.run);
  reduce_rows<FoldAgain<F, T>>(again, static_cast<const T*>(partial.data()), parameter, 0, ranges, out);
}

/// Folds `in`, which is not empty, to `out`, whose layout broadcasts to it. `parameter` has a value for each
/// output, where the fold takes one.
template <template <class> class Fold, class T>
void reduce(const BroadcastLayout& layout, const T* in, const T* parameter, T* out) {
  using F = Fold<T>;
  const ReductionAxes axes(layout);
  const std::int64_t outputs = axes.kept.count();
  const std::int64_t each = axes.reduced.count() * axes.run;
  const std::int64_t together = std::max<std::int64_t>(1, kFoldRange / each);
  if (axes.run_is_reduced) {
    parallel_ranges(outputs, together, [&](std::int64_t begin, std::int64_t end) {
      reduce_runs<F>(axes, in, parameter, begin, end, out);
    });
    return;
  }
  parallel_ranges(outputs, together, [&](std::int64_t begin, std::int64_t end) {
    Odometer kept = axes.kept;
    kept.seek(begin);
    for (std::int64_t o = begin; o < end; ++o, kept.next())
      reduce_many_rows<F>(axes, in + kept.offset(), F::kParameter ? parameter + o * axes.run : nullptr,
                          out + o * axes.run);
  });
}

/// For each output, where the first element equal to `value` is, counted along the reduced axes in row-major
/// order; a NaN equals a NaN.
template <class T>
void find_first(const BroadcastLayout& layout, const T* in, const T* value, std::int64_t* out) {
  ReductionAxes axes(layout);
  const auto found = [](T x, T v) { return x == v || (x != x && v != v); };
  if (axes.run_is_reduced) {
    for (std::int64_t o = 0; o < axes.kept.count(); ++o, axes.kept.next()) {
      std::int64_t before = 0;
      axes.reduced.seek(0);
      for (std::int64_t r = 0; r < axes.reduced.count(); ++r, axes.reduced.next()) {
        const T* from = in + axes.kept.offset() + axes.reduced.offset();
        const std::int64_t at = first_equal(from, axes.run, value[o]);
        before += at;
        if (at != axes.run) break;
      }
      out[o] = before;
    }
    return;
  }
  for (std::int64_t o = 0; o < axes.kept.count(); ++o, axes.kept.next(), out += axes.run, value += axes.run) {
    std::fill_n(out, axes.run, std::int64_t{-1});
    for (std::int64_t r = 0; r < axes.reduced.count(); ++r, axes.reduced.next()) {
      const T* from = in + axes.kept.offset() + axes.reduced.offset();
      for (std::int64_t j = 0; j < axes.run; ++j)
        out[j] = out[j] < 0 && found(from[j], value[j]) ? r : out[j];
    }
  }
}

/// to[i] = f(i, o), or to[i] += f(i, o), for each of `size` elements and the output o that it is reduced to.
template <class T, class F>
void broadcast_grad(const BroadcastLayout& layout, std::int64_t size, T* __restrict to, bool add, F&& f) {
  parallel_ranges(size, kFoldRange, [&](std::int64_t begin, std::int64_t end) {
    dispatch_isa([&] {
      std::int64_t i = begin;
      layout.walk(begin, end - begin, [&](std::int64_t o, std::int64_t run, std::int64_t step) {
        const auto store = [&](const auto& value) {
          if (add)
            simd_for(run, [&](std::int64_t j) { to[i + j] += value(j); });
          else
            simd_for(run, [&](std::int64_t j) { to[i + j] = value(j); });
        };
        if (step)
          store([&](std::int64_t j) { return f(i + j, o + j); });
        else
          store([&](std::int64_t j) { return f(i + j, o); });
        i += run;
      });
    });
  });
}

}  // namespace tapegrad::detail
