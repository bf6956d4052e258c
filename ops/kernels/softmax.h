#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/real.h>
#include <tapegrad/ops/kernels/row_loops.h>

/// The exponentials of rows, without overflow.
namespace tapegrad::detail {

/// Rows that are looked at together, few enough for the first-level cache.
inline constexpr std::int64_t kMostRows = 64;
constexpr std::int64_t rows_together(std::int64_t n) {
  return std::clamp<std::int64_t>(2048 / std::max<std::int64_t>(1, n), 1, kMostRows);
}

/// What is known of each of a few rows.
template <class T>
struct RowsOfExponentials {
  T largest[kMostRows];
  T sum[kMostRows];

  /// Of rows of n elements, one after the other: y = e^(x - largest), and the sum of these. The exponentials
  /// are taken of all rows at once, so that short rows fill vectors as well.
  TAPEGRAD_INLINE RowsOfExponentials(const T* x, std::int64_t rows, std::int64_t n, T* y) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* const row = x + r * n;
      T* const to = y + r * n;
      const T shift = largest[r] = greatest_of(row, n);
      in_steps(n, [&](std::int64_t j) TAPEGRAD_INLINE_LAMBDA { to[j] = row[j] - shift; });
    }
    in_steps(rows * n, [&](std::int64_t i) TAPEGRAD_INLINE_LAMBDA { y[i] = exp(Real<T>{y[i]}).v; });
    for (std::int64_t r = 0; r < rows; ++r) sum[r] = static_cast<T>(sum_of(y + r * n, n));
  }
};

/// f(first row, rows) for a few of them at a time.
template <class F>
void few_rows(std::int64_t rows, std::int64_t n, F&& f) {
  const std::int64_t together = rows_together(n);
  for (std::int64_t r = 0; r < rows; r += together) f(r, std::min(together, rows - r));
}

/// y = e^x / sum e^x, of rows of n elements.
template <class T>
void softmax_rows(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  few_rows(rows, n, [&](std::int64_t first, std::int64_t count) {
    const T* const from = x + first * n;
    T* const to = y + first * n;
    with_isa([&]() TAPEGRAD_INLINE_LAMBDA {
      const RowsOfExponentials<T> e(from, count, n, to);
      for (std::int64_t r = 0; r < count; ++r) {
        T* const row = to + r * n;
        const T share = T{1} / e.sum[r];
        in_steps(n, [&](std::int64_t j) TAPEGRAD_INLINE_LAMBDA { row[j] *= share; });
      }
    });
  });
}

/// y = x - ln sum e^x, as x - largest - ln sum e^(x - largest), which keeps digits that the one logarithm
/// would lose.
template <class T>
void log_softmax_rows(const T* x, std::int64_t rows, std::int64_t n, T* y) {
  few_rows(rows, n, [&](std::int64_t first, std::int64_t count) {
    const T* const from = x + first * n;
    T* const to = y + first * n;
    with_isa([&]() TAPEGRAD_INLINE_LAMBDA {
      const RowsOfExponentials<T> e(from, count, n, to);
      for (std::int64_t r = 0; r < count; ++r) {
        const T* const in = from + r * n;
        T* const out = to + r * n;
        const T largest = e.largest[r];
        const T rest = log(Real<T>{e.sum[r]}).v;
        in_steps(n, [&](std::int64_t j) TAPEGRAD_INLINE_LAMBDA { out[j] = (in[j] - largest) - rest; });
      }
    });
  });
}

}  // namespace tapegrad::detail
