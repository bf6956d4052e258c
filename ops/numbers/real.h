#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <tapegrad/ops/numbers/vector_calls.h>
#include <tapegrad/ops/numbers/vector_math.h>

/// The number type that elementwise formulas are instantiated with to become loops: a float, double or int64
/// that keeps its type against literals of double, and whose comparisons give a mask for `where`, as tensors
/// do.
namespace tapegrad::detail {

/// row(op) for each comparison: every number type that a formula takes has all of them.
#define TAPEGRAD_COMPARISON_OPERATORS(row) row(<) row(<=) row(>) row(>=) row(==) row(!=)

/// Integers wrap around on overflow, as NumPy's do.
template <class T, class F>
T wrapping(T a, T b, F f) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(
        f(static_cast<std::make_unsigned_t<T>>(a), static_cast<std::make_unsigned_t<T>>(b)));
  else
    return f(a, b);
}
template <class T>
T wrapping_add(T a, T b) {
  return wrapping(a, b, [](auto x, auto y) { return x + y; });
}
template <class T>
T wrapping_sub(T a, T b) {
  return wrapping(a, b, [](auto x, auto y) { return x - y; });
}
template <class T>
T wrapping_mul(T a, T b) {
  return wrapping(a, b, [](auto x, auto y) { return x * y; });
}
template <class T>
T wrapping_neg(T a) {
  if constexpr (std::is_integral_v<T>)
    return wrapping_sub(T{0}, a);
  else
    return -a;  // 0 - a would lose the sign of a zero
}

template <class T>
struct MaskOf {
  bool v;

  // Without a branch.
  friend MaskOf operator|(MaskOf a, MaskOf b) { return {static_cast<bool>(a.v | b.v)}; }
  friend MaskOf operator&(MaskOf a, MaskOf b) { return {static_cast<bool>(a.v & b.v)}; }
};

/// Two numbers as double over the larger of them, so that their squares are in range; 0 / 0 where both are 0.
struct Scaled {
  double largest, a, b;

  Scaled(double x, double y) : largest(std::max(std::abs(x), std::abs(y))), a(x / largest), b(y / largest) {}
};

template <class T>
struct Real {
  T v;

  static constexpr Real of(double c) { return {static_cast<T>(c)}; }

  friend Real operator-(Real a) { return {wrapping_neg(a.v)}; }
  friend Real operator+(Real a, Real b) { return {wrapping_add(a.v, b.v)}; }
  friend Real operator-(Real a, Real b) { return {wrapping_sub(a.v, b.v)}; }
  friend Real operator*(Real a, Real b) { return {wrapping_mul(a.v, b.v)}; }
  friend Real operator/(Real a, Real b) { return {a.v / b.v}; }
  friend Real operator+(Real a, double b) { return a + of(b); }
  friend Real operator-(Real a, double b) { return a - of(b); }
  friend Real operator*(Real a, double b) { return a * of(b); }
  friend Real operator/(Real a, double b) { return a / of(b); }
  friend Real operator+(double a, Real b) { return of(a) + b; }
  friend Real operator-(double a, Real b) { return of(a) - b; }
  friend Real operator*(double a, Real b) { return of(a) * b; }
  friend Real operator/(double a, Real b) { return of(a) / b; }

#define TAPEGRAD_ROW(op)                                                \
  friend MaskOf<T> operator op(Real a, Real b) { return {a.v op b.v}; } \
  friend MaskOf<T> operator op(Real a, double b) { return a op of(b); } \
  friend MaskOf<T> operator op(double a, Real b) { return of(a) op b; }
  TAPEGRAD_COMPARISON_OPERATORS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

  friend Real where(MaskOf<T> m, Real a, Real b) {
    if constexpr (std::is_integral_v<T>)
      return {m.v ? a.v : b.v};
    else
      return {vm::choose(m.v, a.v, b.v)};
  }
  friend Real where(MaskOf<T> m, Real a, double b) { return where(m, a, of(b)); }
  friend Real where(MaskOf<T> m, double a, Real b) { return where(m, of(a), b); }

  friend MaskOf<T> is_nothing(Real x) { return {vm::is_nothing(x.v)}; }
  friend Real undefined(Real x) { return where(is_nothing(x), x, std::numeric_limits<double>::quiet_NaN()); }
  friend Real undefined_where(Real x, Real m) { return where(m != 0, undefined(x), x); }

  friend Real exp(Real x) { return {vm::exp(x.v)}; }
  friend Real expm1(Real x) { return {vm::expm1(x.v)}; }
  friend Real log(Real x) { return {vm::log(x.v)}; }
  friend Real log1p(Real x) { return {vm::log1p(x.v)}; }
#define TAPEGRAD_ROW(function) \
  friend Real function(Real x) { return {vector_call::function(x.v)}; }
  TAPEGRAD_VECTOR_CALLS(TAPEGRAD_ROW)
  TAPEGRAD_ROW(sqrt)
  TAPEGRAD_ROW(normal_cdf)
#undef TAPEGRAD_ROW
  friend Real tanh(Real x) { return {vm::tanh(x.v)}; }
  friend Real exp2(Real x) { return {std::exp2(x.v)}; }
  friend Real log2(Real x) { return {std::log2(x.v)}; }
  friend Real round(Real x) { return {std::nearbyint(x.v)}; }
  friend Real hypot(Real a, Real b) { return {std::hypot(a.v, b.v)}; }
  friend Real atan2(Real y, Real x) { return {std::atan2(y.v, x.v)}; }
  /// a / sqrt(a^2 + b^2), and 0 at (0, 0).
  friend Real direction_cosine(Real a, Real b) {
    const Scaled s(a.v, b.v);
    return {static_cast<T>(s.largest == 0 ? 0 : s.a / std::sqrt(s.a * s.a + s.b * s.b))};
  }
  /// The same over sqrt(hypot(a, b)), where hypot is subnormal too.
  friend Real cosine_over_root(Real a, Real b) {
    const Scaled s(a.v, b.v);
    const double h = std::sqrt(s.a * s.a + s.b * s.b);
    return {static_cast<T>(s.a / (h * std::sqrt(h)) / std::sqrt(s.largest))};
  }
  /// a / (a^2 + b^2), likewise.
  friend Real reciprocal_real(Real a, Real b) {
    const Scaled s(a.v, b.v);
    return {static_cast<T>(s.a / (s.a * s.a + s.b * s.b) / s.largest)};
  }
  friend Real zero_without_slope(Real, MaskOf<T>) { return of(0); }
  /// Of integers b is not 0.
  friend Real fmod(Real a, Real b) {
    if constexpr (std::is_integral_v<T>)
      return {b.v == -1 ? T{0} : a.v % b.v};  // a / -1 may be out of range
    else
      return {std::fmod(a.v, b.v)};
  }
  /// Rounded down where fmod rounds towards zero: the remainder has the sign of b.
  friend Real remainder(Real a, Real b) {
    const T r = fmod(a, b).v;
    if constexpr (std::is_integral_v<T>) {
      if (r == 0) return {r};
    } else {
      if (r == 0) return {std::copysign(r, b.v)};
    }
    return {(r < 0) == (b.v < 0) ? r : r + b.v};
  }
  /// 1 / (1 + e^-(a x + b x^3)). Double, as the rounding of the argument would be magnified in the tail.
  friend Real sigmoid_of_cubic(Real x, double a, double b) {
    const double wide = static_cast<double>(x.v);
    return {static_cast<T>(vm::sigmoid(wide * (a + b * (wide * wide))))};
  }
  friend Real pow(Real x, Real y) { return {std::pow(x.v, y.v)}; }
  friend Real pow(Real x, double y) { return pow(x, of(y)); }
  /// x^y (ln x)^n, made of halves of the power: it may be in range where x^y is not.
  friend Real power_log(Real x, Real y, double n) {
    if (n == 0) return pow(x, y);
    const T half = std::pow(x.v, y.v / 2);
    if (half == 0 && x.v >= 0) return of(0);
    T product = half;
    for (int i = 0; i < static_cast<int>(n); ++i) product *= std::log(x.v);
    return {product * half};
  }
  /// The same for n = 1, where `power` is x^y.
  friend Real power_log(Real x, Real y, double n, Real power) {
    using Limits = std::numeric_limits<T>;
    const T size = std::abs(power.v);
    return size > Limits::min() / Limits::epsilon() && size <= Limits::max() ? Real{power.v * std::log(x.v)}
                                                                             : power_log(x, y, n);
  }
  friend Real sigmoid(Real x) { return {vm::sigmoid(x.v)}; }
  /// ln(1 + e^x), without overflow.
  friend Real softplus(Real x) { return maximum(x, 0) + log1p(exp(-abs(x))); }
  /// The derivatives of sigmoid, tanh, asin, acos and atan, of erf but for a factor; with all digits on both sides and
  /// at any size of x.
  friend Real sigmoid_slope(Real x) { return {vm::sigmoid_slope(x.v)}; }
  friend Real tanh_slope(Real x) { return {vm::tanh_slope(x.v)}; }
  friend Real asin_slope(Real x) { return 1 / sqrt((1 - x) * (1 + x)); }
  friend Real atan_slope(Real x) {
    const Real inverse = 1 / where(abs(x) > 1, abs(x), 1);  // x^2 may be infinite where 1 / x^2 is not 0
    return where(abs(x) > 1, inverse / (abs(x) + inverse), 1 / (1 + where(abs(x) > 1, 0, x * x)));
  }
  friend Real gaussian(Real x, double c) { return exp(-(c * x * x)); }
  friend Real abs(Real x) {
    if constexpr (std::is_integral_v<T>)
      return {x.v < 0 ? wrapping_neg(x.v) : x.v};
    else
      return {std::abs(x.v)};
  }
  friend Real sign(Real x) {
    const T s = static_cast<T>((x.v > T{0}) - (x.v < T{0}));
    if constexpr (std::is_integral_v<T>)
      return {s};
    else
      return {vm::choose(x.v == x.v, s, x.v)};
  }
  /// The larger; a NaN in either is passed on, as in NumPy.
  friend Real maximum(Real a, Real b) { return where((a > b) | (a != a), a, b); }
  friend Real minimum(Real a, Real b) { return where((a < b) | (a != a), a, b); }
  friend Real maximum(Real a, double b) { return maximum(a, of(b)); }
  friend Real minimum(Real a, double b) { return minimum(a, of(b)); }
};

/// A mask where a number is wanted: one or zero, as a tensor of comparisons holds.
template <class T>
Real<T> number(MaskOf<T> m) {
  return {static_cast<T>(m.v)};
}
template <class T>
Real<T> number(Real<T> x) {
  return x;
}
/// A number where a mask is wanted: true where it is not zero.
template <class T>
MaskOf<T> mask(Real<T> x) {
  return {x.v != T{0}};
}

}  // namespace tapegrad::detail
