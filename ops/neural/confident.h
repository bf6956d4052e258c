#pragma once

#include <tapegrad/graph/element_access.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/find.h>

/// What the rules of softmax and its losses ask of rows in which one class is far ahead.
namespace tapegrad::detail {

/// From which probability on a class is far ahead: 1 - p then loses a digit, and more beyond.
inline constexpr double kFarAhead = 0.9;
inline constexpr double kLnFarAhead = -0.10536051565782628;

/// A mask of the elements above a bound; undefined where there are none. Not recorded.
inline Tensor elements_above(const Tensor& y, double bound) {
  // A NaN is not above it.
  const bool none = all_hold(y, [bound]<class T>(T v) { return !(v > static_cast<T>(bound)); });
  return none ? Tensor{} : y.detach() > bound;
}

/// A part of a loop for an instruction set.
template <class T>
bool all_zero(const T* x, std::int64_t n) {
  return first_where(x, n, [](T v) { return v != T{0}; }) == n;
}

}  // namespace tapegrad::detail
