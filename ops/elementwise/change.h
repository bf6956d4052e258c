#pragma once

#include <limits>

#include <tapegrad/ops/numbers/real.h>

/// The change of a number with an input, as rules in loops carry it forward.
namespace tapegrad::detail {

/// Of products with a change, a factor that is exactly 0 wins over one that is infinite or NaN, as in reverse an
/// incoming gradient of 0 does: what a result does not depend on contributes nothing to its derivative, whatever the
/// derivatives before it are.
template <class T>
struct Change {
  Real<T> v;

  friend Change operator-(Change a) { return {-a.v}; }
  friend Change operator+(Change a, Change b) { return {a.v + b.v}; }
  friend Change operator-(Change a, Change b) { return {a.v - b.v}; }
  friend Change operator*(Change a, Real<T> s) { return {where((a.v != 0) & (s != 0), a.v * s, 0)}; }
  friend Change operator*(Real<T> s, Change a) { return a * s; }
  friend Change operator*(Change a, double s) { return a * Real<T>::of(s); }
  friend Change operator*(double s, Change a) { return a * Real<T>::of(s); }
  friend Change operator/(Change a, Real<T> s) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return {where((a.v != 0) & (abs(s) != kInfinity), a.v / s, 0)};
  }
  friend Change operator/(Change a, double s) { return a / Real<T>::of(s); }
  /// A product says itself what a 0 wins over.
  friend Change contribution_of_constant(Change, Change r, double) { return r; }
  friend Change where(MaskOf<T> m, Change a, Change b) { return {where(m, a.v, b.v)}; }
  friend Change where(MaskOf<T> m, Change a, double b) { return {where(m, a.v, b)}; }
  friend Change where(MaskOf<T> m, double a, Change b) { return {where(m, a, b.v)}; }
};

}  // namespace tapegrad::detail
