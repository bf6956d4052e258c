#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/shape.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/loop_nest.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/reducers.h>
#include <tapegrad/ops/loops/workspace.h>

/// Work on the rows of a tensor along one axis, and sums of many terms. Both run in blocks laid out from the
/// shape alone, which the threads share.
namespace tapegrad::detail {

/// A shape seen from one of its axes: [outer, size, inner].
struct AxisView {
  std::int64_t outer = 1;
  std::int64_t size = 1;
  std::int64_t inner = 1;

  AxisView(const Shape& shape, std::size_t axis) : size(shape[axis]) {
    for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (std::size_t i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
  /// The rows along the axis: where they start. Their elements are `inner` apart.
  LoopNest<1> rows() const {
    LoopNest<1> nest;
    nest.axis(outer, {size * inner});
    nest.axis(inner, {1});
    return nest;
  }
};

/// f(rows of the inputs, row of the output) for each row along an axis; all are contiguous for f.
template <class T, std::size_t N, class F>
void for_each_row(const AxisView& axis, const std::array<const T*, N>& in, Destination<T> out, F&& f) {
  const LoopNest<1> rows = axis.rows();
  const std::int64_t n = axis.size;
  const std::int64_t apart = axis.inner;
  parallel_ranges(rows.size(), grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    LoopNest<1>::Cursor at(rows, begin);
    if (apart == 1) {
      for (std::int64_t r = begin; r < end; ++r, at.next()) {
        std::array<const T*, N> row = in;
        for (const T*& from : row) from += at[0];
        (out + at[0]).through(n, [&](T* to) { f(row, to); });
      }
      return;
    }
    Workspace<T> copies((N + 1) * n);
    for (std::int64_t r = begin; r < end; ++r, at.next()) {
      std::array<const T*, N> row;
      for (std::size_t i = 0; i < N; ++i) {
        T* const copy = copies.data() + static_cast<std::int64_t>(i) * n;
        const T* const from = in[i] + at[0];
        for (std::int64_t j = 0; j < n; ++j) copy[j] = from[j * apart];
        row[i] = copy;
      }
      T* const result = copies.data() + static_cast<std::int64_t>(N) * n;
      f(row, result);
      T* const to = out.data + at[0];
      out.choose([&](auto put) {
        for (std::int64_t j = 0; j < n; ++j) put(to[j * apart], result[j]);
      });
    }
  });
}

/// The sum of part(begin, end) over blocks of `grain` of [0, n), added in pairs.
template <class F>
double sum_ranges(std::int64_t n, std::int64_t grain, F&& part) {
  if (n <= grain) return n == 0 ? 0 : part(std::int64_t{0}, n);
  Workspace<double> partial(blocks_of(n, grain));
  parallel_blocks(n, grain,
                  [&](std::int64_t begin, std::int64_t end) { partial[begin / grain] = part(begin, end); });
  Pairwise<SumReducer<double>, double> all;
  for (const double p : partial) all.push(p);
  return all.result();
}

/// The sum of term(i) for i in [0, n): in T within a block, in f64 beyond.
template <class T, class F>
double sum_terms(std::int64_t n, const F& term) {
  return sum_ranges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    double sum = 0;
    dispatch_isa([&] {
      constexpr std::int64_t kTerms = 512;
      alignas(64) T terms[kTerms];
      Pairwise<SumReducer<double>, double> all;
      for (std::int64_t i = begin; i < end; i += kTerms) {
        const std::int64_t count = std::min(kTerms, end - i);
        simd_for(count, [&](std::int64_t j) { terms[j] = term(i + j); });
        all.push(sum_of(terms, count));
      }
      sum = all.result();
    });
    return sum;
  });
}

}  // namespace tapegrad::detail
