#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/numbers/real.h>

/// The change of a number with an input, or with several, as rules in loops carry it forward.
namespace tapegrad::detail {

/// The changes of a number with several inputs, each of type N.
template <class N, std::size_t K>
struct Tangents {
  std::array<N, K> of;

  friend Tangents operator+(const Tangents& a, const Tangents& b) {
    return each_of(a, b, [](N x, N y) { return x + y; });
  }
  friend Tangents operator-(const Tangents& a, const Tangents& b) {
    return each_of(a, b, [](N x, N y) { return x - y; });
  }
  template <class M>
  friend Tangents where(M m, const Tangents& a, const Tangents& b) {
    return each_of(a, b, [m](N x, N y) { return where(m, x, y); });
  }
  template <class M>
  friend Tangents where(M m, const Tangents& a, double b) {
    return each_of(a, [m, b](N x) { return where(m, x, b); });
  }
  template <class M>
  friend Tangents where(M m, double a, const Tangents& b) {
    return each_of(b, [m, a](N x) { return where(m, a, x); });
  }
  friend Tangents nothing_of(const Tangents& a) {
    return each_of(a, [](N x) { return where(x == x, kNothing, x); });
  }

  template <class F>
  friend Tangents each_of(const Tangents& a, const F& f) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) { return Tangents{{f(a.of[I])...}}; }
    (std::make_index_sequence<K>());
  }
  template <class F>
  friend Tangents each_of(const Tangents& a, const Tangents& b, const F& f) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) { return Tangents{{f(a.of[I], b.of[I])...}}; }
    (std::make_index_sequence<K>());
  }
};
template <class T, class F>
Real<T> each_of(Real<T> a, const F& f) {
  return f(a);
}

/// The number that changes.
template <class D>
struct NumberOf {
  using type = D;
};
template <class N, std::size_t K>
struct NumberOf<Tangents<N, K>> {
  using type = N;
};

/// Of products with a change, a factor that is exactly 0 wins over one that is infinite or NaN, as in reverse an
/// incoming gradient of 0 does: what a result does not depend on contributes nothing to its derivative, whatever the
/// derivatives before it are.
template <class D>
struct Change {
  using R = typename NumberOf<D>::type;
  using M = decltype(R{} == R{});
  D v;

  friend Change operator-(const Change& a) {
    return {each_of(a.v, [](R x) { return -x; })};
  }
  friend Change operator+(const Change& a, const Change& b) { return {a.v + b.v}; }
  friend Change operator-(const Change& a, const Change& b) { return {a.v - b.v}; }
  friend Change operator*(const Change& a, R s) {
    return {each_of(a.v, [s](R x) { return where((x != 0) & (s != 0), x * s, 0); })};
  }
  friend Change operator*(R s, const Change& a) { return a * s; }
  friend Change operator*(const Change& a, double s) { return a * R::of(s); }
  friend Change operator*(double s, const Change& a) { return a * R::of(s); }
  friend Change operator/(const Change& a, R s) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return {each_of(a.v, [s](R x) { return where((x != 0) & (abs(s) != kInfinity), x / s, 0); })};
  }
  friend Change operator/(const Change& a, double s) { return a / R::of(s); }
  /// A product says itself what a 0 wins over.
  friend Change contribution_of_constant(const Change&, const Change& r, double) { return r; }
  friend Change where(M m, const Change& a, const Change& b) { return {where(m, a.v, b.v)}; }
  friend Change where(M m, const Change& a, double b) { return {where(m, a.v, b)}; }
  friend Change where(M m, double a, const Change& b) { return {where(m, a, b.v)}; }
};

}  // namespace tapegrad::detail
