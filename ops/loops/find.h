#pragma once

#include <cstdint>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/reducers.h>

/// Where in a run an element is.
namespace tapegrad::detail {

/// The index of the first element that the condition holds for; n where there is none. A part of a loop for
/// an instruction set.
template <class T, class F>
std::int64_t first_where(const T* x, std::int64_t n, const F& holds) {
  std::int64_t i = 0;
  for (; i + kLongUnroll <= n; i += kLongUnroll) {
    int any = 0;
    for (std::int64_t k = 0; k < kLongUnroll; ++k) any |= static_cast<int>(holds(x[i + k]));
    if (any) break;
  }
  while (i < n && !holds(x[i])) ++i;
  return i;
}

/// Whether a condition holds for all elements. Such questions are asked at each recorded rule: they cost a fraction of
/// it.
template <class T, class F>
bool all_hold(const T* x, std::int64_t n, const F& holds) {
  std::int64_t failing = 0;
  dispatch_isa([&]() { failing = first_where(x, n, [&](T v) { return !holds(v); }); });
  return failing == n;
}
/// The same of a floating tensor.
template <class F>
bool all_hold(const Tensor& t, const F& holds) {
  return visit_floating(t.dtype(),
                        [&]<class T> { return all_hold(TensorAccess::data_as<T>(t), t.size(), holds); });
}

/// Whether no element is infinite or NaN.
template <class T>
bool all_finite(const T* x, std::int64_t n) {
  return all_hold(x, n, [](T v) { return v - v == T{0}; });
}
inline bool all_finite(const Tensor& t) {
  return all_hold(t, [](auto v) { return v - v == 0; });
}

/// Where the first element equal to v is, where a NaN equals a NaN; n where there is none.
template <class T>
std::int64_t first_equal(const T* x, std::int64_t n, T v) {
  std::int64_t at = 0;
  if (n < kLongUnroll) {
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
  if (n < kLongUnroll) {
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
