#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <tapegrad/ops/scalar/scalar_record.h>

/// Numbers whose derivatives are recorded: for functions of scalars with loops and branches, as they stand in C++ code.
///
///     template <class R>
///     R energy(std::span<const R> p) {
///       R sum = 0;
///       for (std::size_t i = 0; i + 1 < p.size(); ++i) sum += square(p[i + 1] - p[i] * p[i]);
///       return sum;
///     }
///     auto [value, gradient] = value_and_gradient([](std::span<const Real> p) { return energy(p); }, {1.0, 2.0, 3.0});
///
/// An assignment records one statement, however long its expression is: for each Real in it the derivative of the
/// whole. Where a function has no derivative, or only one-sided ones, Reals follow the conventions of the tensor
/// functions of their names. A derivative of exactly 0 contributes nothing, also where it meets an infinite one.
namespace tapegrad {

namespace detail {

/// What all expressions of Reals derive from. Each has
/// - value(): the number
/// - kOperands: how many Reals are in it, at most
/// - record(at, epoch, weight): writes a cell for each, with `weight` times the derivative for it
struct ScalarExpression {};
template <class E>
concept IsScalar = std::derived_from<E, ScalarExpression>;
template <class A, class B>
concept AreScalars = (IsScalar<A> && (IsScalar<B> || std::is_arithmetic_v<B>)) ||
                     (std::is_arithmetic_v<A> && IsScalar<B>);

/// f(x), with its value and derivative.
template <class X>
struct ScalarUnary : ScalarExpression {
  static constexpr std::size_t kOperands = X::kOperands;
  X x;
  double v;
  double d;

  ScalarUnary(const X& operand, double value, double derivative) : x(operand), v(value), d(derivative) {}
  double value() const { return v; }
  void record(ScalarCell*& at, std::uint32_t epoch, double weight) const {
    if (weight != 0) x.record(at, epoch, weight * d);
  }
};

/// f(x, y), with its value and derivatives.
template <class X, class Y>
struct ScalarBinary : ScalarExpression {
  static constexpr std::size_t kOperands = X::kOperands + Y::kOperands;
  X x;
  Y y;
  double v;
  double dx;
  double dy;

  ScalarBinary(const X& left, const Y& right, double value, double dleft, double dright)
      : x(left), y(right), v(value), dx(dleft), dy(dright) {}
  double value() const { return v; }
  void record(ScalarCell*& at, std::uint32_t epoch, double weight) const {
    if (weight == 0) return;  // contributes nothing, whatever the derivatives are
    x.record(at, epoch, weight * dx);
    y.record(at, epoch, weight * dy);
  }
};

}  // namespace detail

/// A number of a function of scalars: an input, the result of a statement, or a constant. It belongs to the
/// evaluation in which it was computed, and to its thread; what is computed of it behind that throws Error.
class Real : public detail::ScalarExpression {
 public:
  static constexpr std::size_t kOperands = 1;

  Real() noexcept = default;
  /// A constant.
  template <class T>
  requires std::is_arithmetic_v<T> Real(T value)
  noexcept : value_(static_cast<double>(value)) {}
  template <detail::IsScalar E>
  requires(!std::same_as<E, Real>) Real(const E& e) : value_(e.value()) { record_statement(e); }
  template <detail::IsScalar E>
  requires(!std::same_as<E, Real>) Real& operator=(const E& e) { return *this = Real(e); }

  double value() const noexcept { return value_; }

  template <class T>
  Real& operator+=(const T& x);
  template <class T>
  Real& operator-=(const T& x);
  template <class T>
  Real& operator*=(const T& x);
  template <class T>
  Real& operator/=(const T& x);

  void record(detail::ScalarCell*& at, std::uint32_t epoch, double weight) const {
    if (number_ == 0 || weight == 0) return;
    if (epoch_ != epoch) [[unlikely]]
      detail::throw_foreign_real(epoch != 0);
    *at++ = {weight, number_, 0};
  }
  /// Input `number` of a record. Not part of the library's interface.
  static Real input(const detail::ScalarRecord& record, std::uint32_t number, double value) noexcept {
    Real r(value);
    r.number_ = number;
    r.epoch_ = record.epoch();
    return r;
  }
  /// Its number in the record; 0 of a constant. Throws Error where it belongs to another.
  std::uint32_t number_in(const detail::ScalarRecord& record) const {
    if (number_ != 0 && epoch_ != record.epoch()) detail::throw_foreign_real(true);
    return number_;
  }

 private:
  template <class E>
  void record_statement(const E& e) {
    detail::ScalarRecord* const record = detail::ScalarRecord::active();
    if (!record) [[unlikely]] {  // of constants alone, or an error
      detail::ScalarCell cells[E::kOperands];
      detail::ScalarCell* at = cells;
      return e.record(at, 0, 1);
    }
    detail::ScalarCell* at = record->room(E::kOperands);
    e.record(at, record->epoch(), 1);
    number_ = record->finish(at);
    epoch_ = record->epoch();
  }

  double value_ = 0;
  std::uint32_t number_ = 0;
  std::uint32_t epoch_ = 0;
};

/// The number itself, without its derivatives: a constant.
template <detail::IsScalar E>
double value(const E& e) {
  return e.value();
}
inline double value(double x) { return x; }

// ---- comparisons, of the values ----

#define TAPEGRAD_COMPARISON(op)     \
  template <class A, class B>       \
  requires detail::AreScalars<A, B> \
  bool operator op(const A& a, const B& b) { return value(a) op value(b); }
TAPEGRAD_COMPARISON(<)
TAPEGRAD_COMPARISON(<=)
TAPEGRAD_COMPARISON(>)
TAPEGRAD_COMPARISON(>=)
TAPEGRAD_COMPARISON(==)
TAPEGRAD_COMPARISON(!=)
#undef TAPEGRAD_COMPARISON

namespace detail {

template <class X>
ScalarUnary<X> scalar_unary(const X& x, double value, double derivative) {
  return {x, value, derivative};
}

/// f(a, b) of two expressions or of one and a number, with both derivatives.
template <class A, class B>
auto scalar_binary(const A& a, const B& b, double value, double da, double db) {
  if constexpr (!IsScalar<A>)
    return ScalarUnary<B>(b, value, db);
  else if constexpr (!IsScalar<B>)
    return ScalarUnary<A>(a, value, da);
  else
    return ScalarBinary<A, B>(a, b, value, da, db);
}

}  // namespace detail

// ---- arithmetic ----

#define TAPEGRAD_BINARY(name, v, da, db)                                    \
  template <class A, class B>                                               \
  requires detail::AreScalars<A, B>                                         \
  auto name(const A& left, const B& right) {                                \
    using std::abs, std::log, std::pow, std::hypot, std::atan2, std::isnan; \
    [[maybe_unused]] const double a = value(left), b = value(right);        \
    const double y = v;                                                     \
    return detail::scalar_binary(left, right, y, da, db);                   \
  }
TAPEGRAD_BINARY(operator+, a + b, 1, 1)
TAPEGRAD_BINARY(operator-, a - b, 1, -1)
TAPEGRAD_BINARY(operator*, a* b, b, a)
TAPEGRAD_BINARY(operator/, a / b, 1 / b, -y / b)

template <detail::IsScalar X>
auto operator-(const X& x) {
  return detail::scalar_unary(x, -x.value(), -1);
}
template <detail::IsScalar X>
auto operator+(const X& x) {
  return detail::scalar_unary(x, x.value(), 1);
}
template <class T>
Real& Real::operator+=(const T& x) {
  return *this = *this + x;
}
template <class T>
Real& Real::operator-=(const T& x) {
  return *this = *this - x;
}
template <class T>
Real& Real::operator*=(const T& x) {
  return *this = *this * x;
}
template <class T>
Real& Real::operator/=(const T& x) {
  return *this = *this / x;
}

// ---- functions of two numbers ----

namespace detail {
/// Of two equal numbers each takes half of the gradient.
inline double share_of_larger(double a, double b) { return a > b ? 1 : a == b ? 0.5 : 0; }
/// a / hypot(a, b) / scale, and 0 at the origin.
inline double cosine(double a, double h) { return h == 0 ? 0 : a / h; }
}  // namespace detail

/// The derivative for b at a = 0 is 0 where b >= 0; that for a where b = 0 is 0.
TAPEGRAD_BINARY(pow, pow(a, b), b == 0 ? 0 : b * pow(a, b - 1), a == 0 && b >= 0 ? 0 : y * log(a))
/// The angle of the point (b, a).
TAPEGRAD_BINARY(atan2, atan2(a, b), b / hypot(a, b) / hypot(a, b), -a / hypot(a, b) / hypot(a, b))
TAPEGRAD_BINARY(hypot, hypot(a, b), detail::cosine(a, y), detail::cosine(b, y))
/// A NaN is passed on.
TAPEGRAD_BINARY(max, a > b || isnan(a) ? a : b, detail::share_of_larger(a, b), detail::share_of_larger(b, a))
TAPEGRAD_BINARY(min, a < b || isnan(a) ? a : b, detail::share_of_larger(b, a), detail::share_of_larger(a, b))
/// C's: the number where the other one is NaN.
TAPEGRAD_BINARY(fmax, std::fmax(a, b), isnan(b) ? 1 : detail::share_of_larger(a, b),
                isnan(a) ? 1 : detail::share_of_larger(b, a))
TAPEGRAD_BINARY(fmin, std::fmin(a, b), isnan(b) ? 1 : detail::share_of_larger(b, a),
                isnan(a) ? 1 : detail::share_of_larger(a, b))
/// C's remainder, with the sign of a.
TAPEGRAD_BINARY(fmod, std::fmod(a, b), 1, -std::trunc(a / b))
/// |a| with the sign of b.
TAPEGRAD_BINARY(copysign, std::copysign(a, b), a == 0 ? 0 : std::signbit(a) == std::signbit(b) ? 1 : -1, 0)
#undef TAPEGRAD_BINARY

// ---- functions of one ----

namespace detail {
/// The derivative of lgamma.
TAPEGRAD_API double digamma(double x);
inline constexpr double kTwoBySqrtPi = 1.1283791670955125739;
inline constexpr double kLn2 = 0.69314718055994530942;
inline constexpr double kLn10 = 2.3025850929940456840;
inline double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
}  // namespace detail

/// x is the number, y the function's value.
#define TAPEGRAD_UNARY(name, v, d)              \
  template <detail::IsScalar X>                 \
  auto name(const X& operand) {                 \
    const double x = operand.value();           \
    const double y = v;                         \
    static_cast<void>(x), static_cast<void>(y); \
    return detail::scalar_unary(operand, y, d); \
  }
TAPEGRAD_UNARY(square, x* x, 2 * x)
TAPEGRAD_UNARY(abs, std::abs(x), detail::sign(x))
TAPEGRAD_UNARY(fabs, std::abs(x), detail::sign(x))
TAPEGRAD_UNARY(sqrt, std::sqrt(x), 0.5 / y)
TAPEGRAD_UNARY(cbrt, std::cbrt(x), 1 / (3 * y * y))
TAPEGRAD_UNARY(exp, std::exp(x), y)
TAPEGRAD_UNARY(exp2, std::exp2(x), detail::kLn2* y)
TAPEGRAD_UNARY(expm1, std::expm1(x), y + 1)
TAPEGRAD_UNARY(log, std::log(x), 1 / x)
TAPEGRAD_UNARY(log2, std::log2(x), 1 / (x * detail::kLn2))
TAPEGRAD_UNARY(log10, std::log10(x), 1 / (x * detail::kLn10))
TAPEGRAD_UNARY(log1p, std::log1p(x), 1 / (1 + x))
TAPEGRAD_UNARY(sin, std::sin(x), std::cos(x))
TAPEGRAD_UNARY(cos, std::cos(x), -std::sin(x))
TAPEGRAD_UNARY(tan, std::tan(x), 1 + y * y)
TAPEGRAD_UNARY(asin, std::asin(x), 1 / std::sqrt((1 - x) * (1 + x)))
TAPEGRAD_UNARY(acos, std::acos(x), -1 / std::sqrt((1 - x) * (1 + x)))
TAPEGRAD_UNARY(atan, std::atan(x), std::abs(x) < 1 ? 1 / (1 + x * x) : 1 / x / (x + 1 / x))
TAPEGRAD_UNARY(sinh, std::sinh(x), std::cosh(x))
TAPEGRAD_UNARY(cosh, std::cosh(x), std::sinh(x))
TAPEGRAD_UNARY(tanh, std::tanh(x), 1 / (std::cosh(x) * std::cosh(x)))
TAPEGRAD_UNARY(asinh, std::asinh(x), 1 / std::hypot(1.0, x))
TAPEGRAD_UNARY(acosh, std::acosh(x), 1 / (std::sqrt(x - 1) * std::sqrt(x + 1)))
TAPEGRAD_UNARY(atanh, std::atanh(x), 1 / ((1 - x) * (1 + x)))
TAPEGRAD_UNARY(erf, std::erf(x), detail::kTwoBySqrtPi* std::exp(-x* x))
TAPEGRAD_UNARY(erfc, std::erfc(x), -detail::kTwoBySqrtPi* std::exp(-x* x))
TAPEGRAD_UNARY(lgamma, std::lgamma(x), detail::digamma(x))
TAPEGRAD_UNARY(tgamma, std::tgamma(x), y* detail::digamma(x))
#undef TAPEGRAD_UNARY

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
