#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/loop_nest.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/reducers.h>
#include <tapegrad/ops/loops/workspace.h>

/// Reductions over any set of axes, in blocks that depend on the shape alone and that the threads share.
namespace tapegrad::detail {

/// A reduction's input and its output, which broadcasts to it.
using ReductionNest = LoopNest<2>;

/// The axes of a reduction, taken apart. The innermost one is contiguous in the input: a run, which is reduced
/// to one element, or otherwise lies along the output.
struct ReductionAxes {
  LoopNest<1> preserved;  ///< offsets in the input, without the run
  LoopNest<1> reduced;    ///< the same
  std::int64_t run;
  bool run_is_reduced;

  explicit ReductionAxes(const ReductionNest& nest) {
    for (std::size_t d = 0; d + 1 < nest.rank(); ++d)
      (nest[d].stride[1] ? preserved : reduced).axis(nest[d].size, {nest[d].stride[0]});
    run = nest.inner().size;
    run_is_reduced = nest.inner().stride[1] == 0;
  }
};

// ---- along runs ----

/// Outputs [begin, end) of a reduction along runs.
template <template <class> class Reducer, class T>
void reduce_runs(const ReductionAxes& axes, const T* in, const T* parameter, std::int64_t begin,
                 std::int64_t end, T* out) {
  using R = Reducer<T>;
  dispatch_isa_for<T>([&] {
    LoopNest<1>::Cursor output(axes.preserved, begin);
    const std::int64_t runs = axes.reduced.size();
    for (std::int64_t o = begin; o < end; ++o, output.next()) {
      const T p = R::kParameter ? parameter[o] : T{};
      Pairwise<R, T> all;
      LoopNest<1>::Cursor at(axes.reduced);
      for (std::int64_t r = 0; r < runs; ++r, at.next())
        all.push(reduce_run<Reducer, T>(in + output[0] + at[0], axes.run, p));
      out[o] = all.result();
    }
  });
}

/// One output of a single run that the threads share.
template <template <class> class Reducer, class T>
void reduce_long_run(const T* x, std::int64_t n, const T* parameter, T* out) {
  Workspace<T> partial(blocks_of(n, kGrain));
  // A block and less than another are done before a thread is awake.
  const std::int64_t shared_from = 2 * kGrain;
  parallel_blocks(n, n < shared_from ? shared_from : kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t begin = first; begin < last; begin += kGrain) {
      LoopNest<2> block;
      block.axis(std::min(kGrain, last - begin), {1, 0});
      reduce_runs<Reducer>(ReductionAxes(block), x + begin, parameter, 0, 1, &partial[begin / kGrain]);
    }
  });
  Pairwise<Reducer<T>, T> all;
  for (const T p : partial) all.push(p);
  *out = all.result();
}

// ---- across rows ----

inline constexpr std::int64_t kRowBlock = 32;
template <class T>
inline constexpr std::int64_t kColumnBlock = 1024 / sizeof(T);

/// out[j] = the reduction of in[offset + j] over `count` positions of `rows` from `first` on, for
/// j < width <= kColumnBlock.
template <class R, class T>
void reduce_columns(const T* in, const LoopNest<1>& rows, std::int64_t first, std::int64_t count,
                    std::int64_t width, const T* parameter, T* out) {
  constexpr std::int64_t kWidth = kColumnBlock<T>;
  alignas(64) T level[60][kWidth];
  PairwiseOrder order;
  LoopNest<1>::Cursor at(rows, first);
  const auto p = [&](std::int64_t j) { return R::kParameter ? parameter[j] : T{}; };
  const auto row = [&] {
    const T* start = in + at[0];
    at.next();
    return start;
  };
  const auto merge = [&](std::size_t i) {
    simd_for(width, [&](std::int64_t j) { level[i][j] = R::combine(level[i][j], level[i + 1][j]); });
  };
  for (std::int64_t left = count; left > 0;) {
    T* const sum = level[order.top()];
    std::int64_t block = std::min(left, kRowBlock);
    left -= block;
    std::fill_n(sum, width, R::kIdentity);
    for (; block >= 4; block -= 4) {
      const T *a = row(), *b = row(), *c = row(), *d = row();
      simd_for(width, [&](std::int64_t j) {
        sum[j] = R::combine(sum[j], R::combine(R::combine(R::map(a[j], p(j)), R::map(b[j], p(j))),
                                               R::combine(R::map(c[j], p(j)), R::map(d[j], p(j)))));
      });
    }
    for (; block > 0; --block) {
      const T* a = row();
      simd_for(width, [&](std::int64_t j) { sum[j] = R::combine(sum[j], R::map(a[j], p(j))); });
    }
    order.pushed(merge);
  }
  order.finish(merge);
  std::copy_n(level[0], width, out);
}

template <class R, class T>
void reduce_columns_for_isa(const T* in, const LoopNest<1>& rows, std::int64_t first, std::int64_t count,
                            std::int64_t width, const T* parameter, T* out) {
  dispatch_isa_for<T>([&] { reduce_columns<R>(in, rows, first, count, width, parameter, out); });
}

/// The same for rows of a few elements that follow each other in memory: several rows are taken as one.
template <class R, class T>
void reduce_narrow_rows(const T* in, std::int64_t count, std::int64_t width, T* out) {
  const std::int64_t several = kColumnBlock<T> / 2 / width;
  const std::int64_t wide = several * width;
  T partial[kColumnBlock<T>];
  LoopNest<1> rows;
  rows.axis(count / several, {wide});
  reduce_columns_for_isa<R>(in, rows, 0, rows.size(), wide, static_cast<const T*>(nullptr), partial);
  const T* rest = in + count / several * wide;
  const std::int64_t rest_size = count % several * width;
  for (std::int64_t j = 0; j < rest_size; ++j) partial[j] = R::combine(partial[j], R::map(rest[j], T{}));
  for (std::int64_t j = 0; j < width; ++j) {
    Pairwise<R, T> all;
    for (std::int64_t i = j; i < wide; i += width) all.push(partial[i]);
    out[j] = all.result();
  }
}

/// Rows [begin, end) of a reduction across rows of `run` elements, all columns.
template <class R, class T>
void reduce_rows(const LoopNest<1>& rows, std::int64_t run, const T* in, const T* parameter,
                 std::int64_t begin, std::int64_t end, T* out) {
  const std::int64_t count = end - begin;
  if constexpr (!R::kParameter) {
    const bool adjacent = rows.rank() == 1 && rows[0].stride[0] == run;
    if (adjacent && run <= kColumnBlock<T> / 8 && count >= kColumnBlock<T> / run)
      return reduce_narrow_rows<R>(in + begin * run, count, run, out);
  }
  const std::int64_t columns = kColumnBlock<T>;
  parallel_ranges(blocks_of(run, columns), grain_for(columns * count),
                  [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t j = first * columns; j < std::min(run, last * columns); j += columns)
                      reduce_columns_for_isa<R>(in + j, rows, begin, count, std::min(columns, run - j),
                                                R::kParameter ? parameter + j : nullptr, out + j);
                  });
}

/// The same for many rows: the threads share them, in ranges whose results are reduced again.
template <class R, class T>
void reduce_many_rows(const LoopNest<1>& rows, std::int64_t run, const T* in, const T* parameter, T* out) {
  const std::int64_t count = rows.size();
  const std::int64_t height = std::max(kRowBlock, grain_for(run));
  if (count < 2 * height) return reduce_rows<R>(rows, run, in, parameter, 0, count, out);
  const std::int64_t ranges = blocks_of(count, height);
  Workspace<T> partial(ranges * run);
  parallel_blocks(count, height, [&](std::int64_t begin, std::int64_t end) {
    reduce_rows<R>(rows, run, in, parameter, begin, end, partial.data() + begin / height * run);
  });
  LoopNest<1> of_ranges;
  of_ranges.axis(ranges, {run});
  reduce_rows<typename R::Again, T>(of_ranges, run, static_cast<const T*>(partial.data()), nullptr, 0, ranges,
                                    out);
}

// ---- all of it ----

/// Reduces `in`, which is not empty, to `out`. `parameter` has a value for each output, where the reducer
/// takes one.
template <template <class> class Reducer, class T>
void reduce(const ReductionNest& nest, const T* in, const T* parameter, T* out) {
  using R = Reducer<T>;
  const ReductionAxes axes(nest);
  const std::int64_t outputs = axes.preserved.size();
  const std::int64_t grain = grain_for(axes.reduced.size() * axes.run);
  if (axes.run_is_reduced) {
    const bool is_long = axes.reduced.size() == 1 && axes.run > kGrain;
    parallel_ranges(outputs, grain, [&](std::int64_t begin, std::int64_t end) {
      if (!is_long) return reduce_runs<Reducer>(axes, in, parameter, begin, end, out);
      LoopNest<1>::Cursor at(axes.preserved, begin);
      for (std::int64_t o = begin; o < end; ++o, at.next())
        reduce_long_run<Reducer>(in + at[0], axes.run, R::kParameter ? parameter + o : nullptr, out + o);
    });
    return;
  }
  parallel_ranges(outputs, grain, [&](std::int64_t begin, std::int64_t end) {
    LoopNest<1>::Cursor at(axes.preserved, begin);
    for (std::int64_t o = begin; o < end; ++o, at.next())
      reduce_many_rows<R>(axes.reduced, axes.run, in + at[0],
                          R::kParameter ? parameter + o * axes.run : nullptr, out + o * axes.run);
  });
}

// What many ops reduce by is compiled once, in reduce.cpp.
#define TAPEGRAD_COMMON_REDUCTIONS(prefix, T)                                               \
  prefix template void reduce<SumReducer, T>(const ReductionNest&, const T*, const T*, T*); \
  prefix template void reduce<MaximumReducer, T>(const ReductionNest&, const T*, const T*, T*);
TAPEGRAD_COMMON_REDUCTIONS(extern, float)
TAPEGRAD_COMMON_REDUCTIONS(extern, double)

/// Adds up the rows of a matrix [rows, columns].
template <class T>
void sum_rows(const T* in, std::int64_t rows, std::int64_t columns, Destination<T> out) {
  if (rows == 0 || columns == 0) return out.clear(columns);
  const ReductionNest nest = broadcast_nest(Shape{rows, columns}, Shape{rows, columns}, Shape{columns});
  out.through(columns, [&](T* to) { reduce<SumReducer, T>(nest, in, nullptr, to); });
}

/// Where in rows `run` apart the first element equal to its column's value is, for `width` <= kColumnBlock columns.
template <class T>
void find_in_columns(const T* in, const LoopNest<1>& rows, std::int64_t width, const T* value,
                     std::int64_t* out) {
  using Row = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;  // as wide, for vectors of both
  constexpr std::int64_t kRowsAtOnce = std::numeric_limits<Row>::max();
  alignas(64) Row first[kColumnBlock<T>];
  std::fill_n(out, width, std::int64_t{-1});
  LoopNest<1>::Cursor at(rows);
  for (std::int64_t before = 0; before < rows.size(); before += kRowsAtOnce) {
    const std::int64_t count = std::min(kRowsAtOnce, rows.size() - before);
    std::fill_n(first, width, std::numeric_limits<Row>::max());
    for (Row r = 0; r < count; ++r, at.next()) {
      const T* const from = in + at[0];
      simd_for(width, [&](std::int64_t j) {
        const T x = from[j], v = value[j];
        const bool found = (x == v) | ((x != x) & (v != v));
        first[j] = std::min(first[j], found ? r : std::numeric_limits<Row>::max());
      });
    }
    for (std::int64_t j = 0; j < width; ++j)
      if (out[j] < 0 && first[j] < count) out[j] = before + first[j];
  }
}

/// For each output, where the first element equal to `value` is, counted along the reduced axes in row-major
/// order; a NaN equals a NaN.
template <class T>
void find_first(const ReductionNest& nest, const T* in, const T* value, std::int64_t* out) {
  const ReductionAxes axes(nest);
  const std::int64_t outputs = axes.preserved.size();
  const auto in_runs = [&](std::int64_t begin, std::int64_t end) {
    LoopNest<1>::Cursor output(axes.preserved, begin);
    for (std::int64_t o = begin; o < end; ++o, output.next()) {
      LoopNest<1>::Cursor at(axes.reduced);
      std::int64_t before = 0;
      for (std::int64_t r = 0; r < axes.reduced.size(); ++r, at.next()) {
        const std::int64_t place = first_equal(in + output[0] + at[0], axes.run, value[o]);
        before += place;
        if (place != axes.run) break;
      }
      out[o] = before;
    }
  };
  const auto in_columns = [&](std::int64_t begin, std::int64_t end) {
    dispatch_isa_for<T>([&] {
      LoopNest<1>::Cursor output(axes.preserved, begin);
      for (std::int64_t o = begin; o < end; ++o, output.next())
        for (std::int64_t j = 0; j < axes.run; j += kColumnBlock<T>) {
          const std::int64_t to = o * axes.run + j;
          find_in_columns(in + output[0] + j, axes.reduced, std::min(kColumnBlock<T>, axes.run - j),
                          value + to, out + to);
        }
    });
  };
  parallel_ranges(outputs, grain_for(axes.reduced.size() * axes.run),
                  [&](std::int64_t begin, std::int64_t end) {
                    axes.run_is_reduced ? in_runs(begin, end) : in_columns(begin, end);
                  });
}

/// Element i of the input's gradient is f(i, o), where o is the output that it is reduced to.
template <class T, class F>
void broadcast_grad(const ReductionNest& nest, Destination<T> to, const F& f) {
  parallel_elements(nest.size(), [&](std::int64_t begin, std::int64_t end) {
    dispatch_isa([&] {
      const auto of_element = f;  // a local, so that its pointers stay in registers
      nest.for_each_run(begin, end, [&](const ReductionNest::Offsets& at, std::int64_t run) {
        const std::int64_t i = at[0], o = at[1];
        if (nest.inner().stride[1])
          (to + i).put(run, [&](std::int64_t j) { return of_element(i + j, o + j); });
        else
          (to + i).put(run, [&](std::int64_t j) { return of_element(i + j, o); });
      });
    });
  });
}

}  // namespace tapegrad::detail
