#pragma once

#include <cmath>
#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/ops/scalar/real.h>

/// Functions of Reals: their values and derivatives, written once for numbers that are doubles, and for numbers that
/// are differentiated themselves.
namespace tapegrad {

/// row(function): those of <cmath> that the formulas below are written in; each kind of numbers has all of them.
#define TAPEGRAD_FUNCTIONS_OF_NUMBERS(row)                                                              \
  row(abs) row(sqrt) row(cbrt) row(exp) row(exp2) row(expm1) row(log) row(log2) row(log10) row(log1p)   \
      row(sin) row(cos) row(tan) row(asin) row(acos) row(atan) row(sinh) row(cosh) row(tanh) row(asinh) \
          row(acosh) row(atanh) row(erf) row(erfc) row(lgamma) row(tgamma)
#define TAPEGRAD_FUNCTIONS_OF_TWO_NUMBERS(row) row(pow) row(hypot) row(atan2) row(fmod)

namespace detail {

namespace functions_of_numbers {
#define TAPEGRAD_ROW(name) using std::name;
TAPEGRAD_FUNCTIONS_OF_NUMBERS(TAPEGRAD_ROW)
TAPEGRAD_FUNCTIONS_OF_TWO_NUMBERS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
}  // namespace functions_of_numbers

/// A number beside numbers V: its base, or what it is.
template <class A>
decltype(auto) operand_of(const A& a) {
  if constexpr (IsScalar<A>)
    return a.base();
  else
    return static_cast<double>(a);
}

/// f(a, b) of two expressions or of one and a number, with the derivatives that are asked for.
template <class A, class B, class V, class Da, class Db>
auto scalar_binary(const A& a, const B& b, const V& value, const Da& da, const Db& db) {
  if constexpr (!IsScalar<A>)
    return ScalarUnary<B>(b, value, db());
  else if constexpr (!IsScalar<B>)
    return ScalarUnary<A>(a, value, da());
  else
    return ScalarBinary<A, B>(a, b, value, da(), db());
}

}  // namespace detail

// ---- arithmetic ----

/// a and b are the numbers, V what they are, y the function's value, and a_, b_ and y_ the same as doubles.
#define TAPEGRAD_BINARY(name, v, da, db)                                                \
  template <class A, class B>                                                           \
  requires detail::AreScalars<A, B>                                                     \
  auto name(const A& left, const B& right) {                                            \
    using namespace detail::functions_of_numbers;                                       \
    using V = detail::ScalarValueOf<A, B>;                                              \
    [[maybe_unused]] const auto& a = detail::operand_of(left);                          \
    [[maybe_unused]] const auto& b = detail::operand_of(right);                         \
    [[maybe_unused]] const double a_ = detail::number_of(a), b_ = detail::number_of(b); \
    const V y(v);                                                                       \
    [[maybe_unused]] const double y_ = detail::number_of(y);                            \
    return detail::scalar_binary(                                                       \
        left, right, y, [&] { return V(da); }, [&] { return V(db); });                  \
  }
TAPEGRAD_BINARY(operator+, a + b, 1, 1)
TAPEGRAD_BINARY(operator-, a - b, 1, -1)
TAPEGRAD_BINARY(operator*, a* b, b, a)
TAPEGRAD_BINARY(operator/, a / b, 1 / b, -y / b)

/// The number with another sign, and as it is.
template <detail::IsScalar X>
auto operator-(const X& x) {
  using V = typename X::Value;
  return detail::ScalarUnary<X>(x, V(-x.base()), V(-1));
}
template <detail::IsScalar X>
auto operator+(const X& x) {
  return detail::ScalarUnary<X>(x, x.base(), typename X::Value(1));
}
template <class V>
template <class T>
BasicReal<V>& BasicReal<V>::operator+=(const T& x) {
  return *this = *this + x;
}
template <class V>
template <class T>
BasicReal<V>& BasicReal<V>::operator-=(const T& x) {
  return *this = *this - x;
}
template <class V>
template <class T>
BasicReal<V>& BasicReal<V>::operator*=(const T& x) {
  return *this = *this * x;
}
template <class V>
template <class T>
BasicReal<V>& BasicReal<V>::operator/=(const T& x) {
  return *this = *this / x;
}

// ---- functions of two numbers ----

namespace detail {
/// Of two equal numbers each takes half of the gradient.
inline double share_of_larger(double a, double b) { return a > b ? 1 : a == b ? 0.5 : 0; }
inline double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
}  // namespace detail

/// The derivative for b at a = 0 is 0 where b >= 0; that for a where b = 0 is 0.
TAPEGRAD_BINARY(pow, pow(a, b), b_ == 0 ? V(0) : V(b * pow(a, b - 1)),
                a_ == 0 && b_ >= 0 ? V(0) : V(y * log(a)))
/// The angle of the point (b, a).
TAPEGRAD_BINARY(atan2, atan2(a, b), b / hypot(a, b) / hypot(a, b), -a / hypot(a, b) / hypot(a, b))
/// The gradient is 0 at the origin.
TAPEGRAD_BINARY(hypot, hypot(a, b), y_ == 0 ? V(0) : V(a / y), y_ == 0 ? V(0) : V(b / y))
/// A NaN is passed on.
TAPEGRAD_BINARY(max, a_ > b_ || std::isnan(a_) ? V(a) : V(b), detail::share_of_larger(a_, b_),
                detail::share_of_larger(b_, a_))
TAPEGRAD_BINARY(min, a_ < b_ || std::isnan(a_) ? V(a) : V(b), detail::share_of_larger(b_, a_),
                detail::share_of_larger(a_, b_))
/// C's: the number where the other one is NaN.
TAPEGRAD_BINARY(fmax, a_ > b_ || std::isnan(b_) ? V(a) : V(b),
                std::isnan(b_) ? 1 : detail::share_of_larger(a_, b_),
                std::isnan(a_) ? 1 : detail::share_of_larger(b_, a_))
TAPEGRAD_BINARY(fmin, a_ < b_ || std::isnan(b_) ? V(a) : V(b),
                std::isnan(b_) ? 1 : detail::share_of_larger(b_, a_),
                std::isnan(a_) ? 1 : detail::share_of_larger(a_, b_))
/// C's remainder, with the sign of a.
TAPEGRAD_BINARY(fmod, fmod(a, b), 1, -std::trunc(a_ / b_))
/// |a| with the sign of b.
TAPEGRAD_BINARY(copysign, std::signbit(a_) == std::signbit(b_) ? V(a) : V(-a),
                a_ == 0                                ? 0
                : std::signbit(a_) == std::signbit(b_) ? 1
                                                       : -1,
                0)
#undef TAPEGRAD_BINARY

// ---- functions of one ----

namespace detail {
/// The derivative of lgamma, and its derivative.
TAPEGRAD_API double digamma(double x);
TAPEGRAD_API double trigamma(double x);
template <IsScalar X>
auto digamma(const X& x) {
  using V = typename X::Value;
  return ScalarUnary<X>(x, V(digamma(x.base())), V(trigamma(x.base())));
}
inline constexpr double kTwoBySqrtPi = 1.1283791670955125739;
inline constexpr double kLn2 = 0.69314718055994530942;
inline constexpr double kLn10 = 2.3025850929940456840;
}  // namespace detail

/// x is the number, V what it is, x_ the same as a double, y the function's value.
#define TAPEGRAD_UNARY(name, v, d)                           \
  template <detail::IsScalar X>                              \
  auto name(const X& operand) {                              \
    using namespace detail::functions_of_numbers;            \
    using detail::digamma;                                   \
    using V = typename X::Value;                             \
    const V& x = operand.base();                             \
    [[maybe_unused]] const double x_ = detail::number_of(x); \
    const V y(v);                                            \
    return detail::ScalarUnary<X>(operand, y, V(d));         \
  }
TAPEGRAD_UNARY(square, x* x, 2 * x)
TAPEGRAD_UNARY(abs, abs(x), detail::sign(x_))
TAPEGRAD_UNARY(fabs, abs(x), detail::sign(x_))
TAPEGRAD_UNARY(sqrt, sqrt(x), 0.5 / y)
TAPEGRAD_UNARY(cbrt, cbrt(x), 1 / (3 * y * y))
TAPEGRAD_UNARY(exp, exp(x), y)
TAPEGRAD_UNARY(exp2, exp2(x), detail::kLn2* y)
TAPEGRAD_UNARY(expm1, expm1(x), y + 1)
TAPEGRAD_UNARY(log, log(x), 1 / x)
TAPEGRAD_UNARY(log2, log2(x), 1 / (x * detail::kLn2))
TAPEGRAD_UNARY(log10, log10(x), 1 / (x * detail::kLn10))
TAPEGRAD_UNARY(log1p, log1p(x), 1 / (1 + x))
TAPEGRAD_UNARY(sin, sin(x), cos(x))
TAPEGRAD_UNARY(cos, cos(x), -sin(x))
TAPEGRAD_UNARY(tan, tan(x), 1 + y * y)
TAPEGRAD_UNARY(asin, asin(x), 1 / sqrt((1 - x) * (1 + x)))
TAPEGRAD_UNARY(acos, acos(x), -1 / sqrt((1 - x) * (1 + x)))
TAPEGRAD_UNARY(atan, atan(x), std::abs(x_) < 1 ? V(1 / (1 + x * x)) : V(1 / x / (x + 1 / x)))
TAPEGRAD_UNARY(sinh, sinh(x), cosh(x))
TAPEGRAD_UNARY(cosh, cosh(x), sinh(x))
TAPEGRAD_UNARY(tanh, tanh(x), 1 / (cosh(x) * cosh(x)))
TAPEGRAD_UNARY(asinh, asinh(x), 1 / hypot(1.0, x))
TAPEGRAD_UNARY(acosh, acosh(x), 1 / (sqrt(x - 1) * sqrt(x + 1)))
TAPEGRAD_UNARY(atanh, atanh(x), 1 / ((1 - x) * (1 + x)))
TAPEGRAD_UNARY(erf, erf(x), detail::kTwoBySqrtPi* exp(-x* x))
TAPEGRAD_UNARY(erfc, erfc(x), -detail::kTwoBySqrtPi* exp(-x* x))
TAPEGRAD_UNARY(lgamma, lgamma(x), digamma(x))
TAPEGRAD_UNARY(tgamma, tgamma(x), y* digamma(x))
#undef TAPEGRAD_UNARY

/// x^2, so that formulas of Reals are formulas of numbers, too.
inline double square(double x) { return x * x; }

// ---- what has no derivative but 0 ----

#define TAPEGRAD_CONSTANT(name)  \
  template <detail::IsScalar X>  \
  auto name(const X& x) {        \
    return std::name(x.value()); \
  }
TAPEGRAD_CONSTANT(floor)
TAPEGRAD_CONSTANT(ceil)
TAPEGRAD_CONSTANT(trunc)
TAPEGRAD_CONSTANT(round)
TAPEGRAD_CONSTANT(rint)
TAPEGRAD_CONSTANT(nearbyint)
TAPEGRAD_CONSTANT(lround)
TAPEGRAD_CONSTANT(isfinite)
TAPEGRAD_CONSTANT(isinf)
TAPEGRAD_CONSTANT(isnan)
TAPEGRAD_CONSTANT(signbit)
#undef TAPEGRAD_CONSTANT

/// a b + c.
template <class A, class B, class C>
requires(detail::IsScalar<A> || detail::IsScalar<B> || detail::IsScalar<C>) auto fma(const A& a, const B& b,
                                                                                     const C& c) {
  return a * b + c;
}

}  // namespace tapegrad
