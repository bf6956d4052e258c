#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/reduce.h>

/// Work on the rows of a tensor along one axis, and sums of many terms. Both run in blocks laid out from the
/// shape alone, which the threads share.
namespace tapegrad::detail {

/// The rows of a tensor along an axis: elements `inner` apart.
struct RowLayout {
  std::int64_t outer = 1;
  std::int64_t extent = 1;
  std::int64_t inner = 1;

  RowLayout(const Shape& shape, std::size_t axis) : extent(shape[axis]) {
    for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (std::size_t i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
  std::int64_t rows() const { return outer * inner; }
  std::int64_t start(std::int64_t row) const { return row / inner * extent * inner + row % inner; }
  /// Rows of a block.
  std::int64_t together() const {
    return std::max<std::int64_t>(1, kRangeLength / std::max<std::int64_t>(1, extent));
  }
};

/// f(number, rows of the inputs, row of the output) for each row; all are contiguous for f. `add`: what f
/// writes is added to the output.
template <class T, std::size_t N, class F>
void for_each_row(const RowLayout& layout, const std::array<const T*, N>& in, T* out, bool add, F&& f) {
  parallel_ranges(layout.rows(), layout.together(), [&](std::int64_t from, std::int64_t to) {
    const bool direct = layout.inner == 1;
    const auto extent = static_cast<std::size_t>(layout.extent);
    std::vector<T, PoolAllocator<T>> copies(direct ? add * extent : (N + 1) * extent);
    for (std::int64_t r = from; r < to; ++r) {
      const std::int64_t start = layout.start(r);
      std::array<const T*, N> row;
      for (std::size_t i = 0; i < N; ++i) {
        row[i] = in[i] + start;
        if (direct) continue;
        T* copy = copies.data() + i * extent;
        for (std::int64_t j = 0; j < layout.extent; ++j) copy[j] = row[i][j * layout.inner];
        row[i] = copy;
      }
      T* const result = direct && !add ? out + start : copies.data() + (direct ? 0 : N * extent);
      f(r, row, result);
      if (direct && !add) continue;
      T* const place = out + start;
      for (std::int64_t j = 0; j < layout.extent; ++j)
        place[j * layout.inner] = add ? place[j * layout.inner] + result[j] : result[j];
    }
  });
}

/// The sum of part(from, to) over blocks of `length` of [0, n), added in pairs.
template <class F>
double sum_ranges(std::int64_t n, std::int64_t length, F&& part) {
  if (n <= length) return n == 0 ? 0 : part(std::int64_t{0}, n);
  std::vector<double, PoolAllocator<double>> partial(static_cast<std::size_t>(blocks_of(n, length)));
  parallel_ranges(n, length, [&](std::int64_t from, std::int64_t to) {
    partial[static_cast<std::size_t>(from / length)] = part(from, to);
  });
  PairwiseFold<SumFold<double>, double> all;
  for (const double p : partial) all.push(p);
  return all.result();
}

/// The sum of term(i) for i in [0, n).
template <class T, class F>
double sum_terms(std::int64_t n, const F& term) {
  return sum_ranges(n, kRangeLength, [&](std::int64_t from, std::int64_t to) {
    double sum = 0;
    dispatch_isa([&] {
      constexpr std::int64_t kTerms = 512;
      alignas(64) T terms[kTerms];
      for (std::int64_t i = from; i < to; i += kTerms) {
        const std::int64_t count = std::min(kTerms, to - i);
        simd_for(count, [&](std::int64_t j) { terms[j] = term(i + j); });
        sum += sum_of(terms, count);
      }
    });
    return sum;
  });
}

}  // namespace tapegrad::detail
