#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/fold.h>

/// What is wanted of a row, as parts of loops for an instruction set (the folds of reductions are none).
namespace tapegrad::detail {

inline constexpr std::int64_t kRowLanes = 64;  // a shorter row is not worth a loop of vectors

/// All elements combined, in lanes that become vectors.
template <class T, class F>
T combine_all(const T* x, std::int64_t n, T identity, const F& combine) {
  std::int64_t i = 0;
  if (n >= kRowLanes) {
    alignas(64) T lane[kRowLanes];
    for (; i < kRowLanes; ++i) lane[i] = x[i];
    for (; i + kRowLanes <= n; i += kRowLanes)
      for (std::int64_t k = 0; k < kRowLanes; ++k) lane[k] = combine(lane[k], x[i + k]);
    for (std::int64_t k = 0; k < 16; ++k)
      lane[k] = combine(combine(lane[k], lane[k + 16]), combine(lane[k + 32], lane[k + 48]));
    for (std::int64_t k = 0; k < 16; ++k) identity = combine(identity, lane[k]);
  }
  for (; i < n; ++i) identity = combine(identity, x[i]);
  return identity;
}

/// Never more than the maximum; with a NaN in the row it may be less. The sum of the exponentials is then a
/// NaN all the same.
template <class T>
T greatest_of(const T* x, std::int64_t n) {
  return combine_all(x, n, MaximumFold<T>::kIdentity, [](T a, T b) { return a < b ? b : a; });
}

/// In T within a block, in f64 beyond.
template <class T>
double sum_of(const T* x, std::int64_t n) {
  constexpr std::int64_t kBlock = 1024;
  double sum = 0;
  for (std::int64_t i = 0; i < n; i += kBlock)
    sum += static_cast<double>(
        combine_all(x + i, std::min(kBlock, n - i), T{0}, [](T a, T b) { return a + b; }));
  return sum;
}

/// The index of the first element that the condition holds for; n where there is none.
template <class T, class F>
std::int64_t first_where(const T* x, std::int64_t n, const F& holds) {
  std::int64_t i = 0;
  for (; i + kRowLanes <= n; i += kRowLanes) {
    int any = 0;
    for (std::int64_t k = 0; k < kRowLanes; ++k) any |= static_cast<int>(holds(x[i + k]));
    if (any) break;
  }
  while (i < n && !holds(x[i])) ++i;
  return i;
}

/// Where the first element equal to v is, where a NaN equals a NaN; n where there is none.
template <class T>
std::int64_t first_equal(const T* x, std::int64_t n, T v) {
  std::int64_t at = 0;
  if (n < kRowLanes) {
    while (at < n && x[at] != v && (x[at] == x[at] || v == v)) ++at;
    return at;
  }
  dispatch_isa([&]() {
    at = v != v ? first_where(x, n, [](T a) { return a != a; })
                : first_where(x, n, [v](T a) { return a == v; });
  });
  return at;
}

/// Where the first of the largest elements is, or the first NaN. n must not be 0.
template <class T>
std::int64_t index_of_greatest(const T* x, std::int64_t n) {
  std::int64_t at = 0;
  if (n < kRowLanes) {
    for (std::int64_t i = 0; i < n; ++i) {
      if (x[i] != x[i]) return i;
      if (x[i] > x[at]) at = i;
    }
    return at;
  }
  dispatch_isa([&]() {
    at = first_where(x, n, [](T a) { return a != a; });
    if (at < n) return;
    const T greatest = greatest_of(x, n);
    at = first_where(x, n, [greatest](T a) { return a == greatest; });
  });
  return at;
}

}  // namespace tapegrad::detail
