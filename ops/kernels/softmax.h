#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/reducers.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/ops/numbers/real.h>

/// The exponentials of rows, without overflow.
namespace tapegrad::detail {

/// Rows that are worked on at a time, few enough for the first-level cache.
inline constexpr std::int64_t kMostRows = 64;
constexpr std::int64_t rows_at_a_time(std::int64_t n) {
  return std::clamp<std::int64_t>(2048 / std::max<std::int64_t>(1, n), 1, kMostRows);
}

/// The sum of those elements that are below a bound.
template <class T>
T sum_below(const T* x, std::int64_t n, T bound) {
  return static_cast<T>(reduce_run<BelowReducer, double>(x, n, bound));
}

/// What is known of each of a few rows.
template <class T>
struct RowsOfExponentials {
  T largest[kMostRows];
  T sum[kMostRows];
  T log_sum[kMostRows];  ///< where it is asked for

  /// Of rows of n elements, one after the other: y = e^(x - largest), and the sum of these. The exponentials
  /// are taken of all rows at once, so that short rows fill vectors as well.
  RowsOfExponentials(const T* x, std::int64_t rows, std::int64_t n, T* y) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* const row = x + r * n;
      T* const to = y + r * n;
      const T shift = largest[r] = greatest_of(row, n);
      simd_for(n, [&](std::int64_t j) { to[j] = row[j] - shift; });
    }
    simd_for(rows * n, [&](std::int64_t i) { y[i] = exp(Real<T>{y[i]}).v; });
    for (std::int64_t r = 0; r < rows; ++r) sum[r] = static_cast<T>(sum_of(y + r * n, n));
  }

  /// The logarithms of the sums. A sum near 1 has lost the digits of all terms but the largest, which is 1.
  void take_logs(const T* y, std::int64_t rows, std::int64_t n) {
    for (std::int64_t r = 0; r < rows; ++r)
      log_sum[r] =
          sum[r] < T{1.25} ? log1p(Real<T>{sum_below(y + r * n, n, T{1})}).v : log(Real<T>{sum[r]}).v;
  }
};

/// f(first row, rows) for a few of them at a time.
template <class F>
void few_rows(std::int64_t rows, std::int64_t n, F&& f) {
  const std::int64_t most = rows_at_a_time(n);
  for (std::int64_t r = 0; r < rows; r += most) f(r, std::min(most, rows - r));
}

/// finish(exponentials, from, to) for a few rows at a time, with the exponentials in `to`.
template <class T, class F>
void each_rows_of_exponentials(const T* x, std::int64_t rows, std::int64_t n, T* y, const F& finish) {
  few_rows(rows, n, [&](std::int64_t first, std::int64_t count) {
    const T* const from = x + first * n;
    T* const to = y + first * n;
    dispatch_isa([&] {
      RowsOfExponentials<T> e(from, count, n, to);
      finish(e, count, from, to);
    });
  });
}

/// y = e^x / sum e^x, of rows of n elements.
template <class T>
void softmax_rows(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  each_rows_of_exponentials(x, rows, n, y, [n](auto& e, std::int64_t count, const T*, T* to) {
    for (std::int64_t r = 0; r < count; ++r) {
      const T share = T{1} / e.sum[r];
      T* const row = to + r * n;
      simd_for(n, [&](std::int64_t j) { row[j] *= share; });
    }
  });
}

/// y = x - ln sum e^x, as x - largest - ln sum e^(x - largest), which keeps digits that the one logarithm
/// would lose.
template <class T>
void log_softmax_rows(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  each_rows_of_exponentials(x, rows, n, y, [n](auto& e, std::int64_t count, const T* from, T* to) {
    e.take_logs(to, count, n);
    for (std::int64_t r = 0; r < count; ++r) {
      const T rest = e.log_sum[r];
      simd_for(n, [&](std::int64_t j) { to[r * n + j] = (from[r * n + j] - e.largest[r]) - rest; });
    }
  });
}

}  // namespace tapegrad::detail
