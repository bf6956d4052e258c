#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

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
/// - Value: what its numbers are, double where derivatives are not themselves differentiated
/// - base(): its number as a Value; value(): as a double
/// - kOperands: how many Reals are in it, at most
/// - record(at, epoch, weight): writes a cell for each, with `weight` times the derivative for it
struct ScalarExpression {};
template <class E>
concept IsScalar = std::derived_from<E, ScalarExpression>;

template <class A, class B>
struct ScalarValue {};
template <IsScalar A, class B>
requires std::is_arithmetic_v<B>
struct ScalarValue<A, B> {
  using Type = typename A::Value;
};
template <class A, IsScalar B>
requires std::is_arithmetic_v<A>
struct ScalarValue<A, B> {
  using Type = typename B::Value;
};
template <IsScalar A, IsScalar B>
requires std::same_as<typename A::Value, typename B::Value>
struct ScalarValue<A, B> {
  using Type = typename A::Value;
};
/// What the numbers of both are, one of which may be a C++ number.
template <class A, class B>
using ScalarValueOf = typename ScalarValue<A, B>::Type;
template <class A, class B>
concept AreScalars = requires {
  typename ScalarValueOf<A, B>;
};

/// Of numbers Value: as a double; whether it is a constant 0, which contributes nothing, whereas one that happens to
/// be 0 may have a derivative; and two operations, of which constants of 0 and 1 need none.
inline double number_of(double x) { return x; }
inline bool is_zero(double x) { return x == 0; }
inline double product(double a, double b) { return a * b; }
inline void add_product(double& sum, double a, double b) { sum += a * b; }

template <class V>
double number_of(const V& x) {
  return x.value();
}
template <class V>
bool is_zero(const V& x) {
  return x.is_constant(0);
}
template <class V>
V product(const V& a, const V& b) {
  return a.is_constant(1) ? b : b.is_constant(1) ? a : V(a * b);
}
template <class V>
void add_product(V& sum, const V& a, const V& b) {
  sum = is_zero(sum) ? product(a, b) : V(sum + a * b);
}

/// f(x), with its value and derivative.
template <class X>
struct ScalarUnary : ScalarExpression {
  using Value = typename X::Value;
  static constexpr std::size_t kOperands = X::kOperands;
  X x;
  Value v;
  Value d;

  ScalarUnary(const X& operand, const Value& value, const Value& derivative)
      : x(operand), v(value), d(derivative) {}
  const Value& base() const { return v; }
  double value() const { return number_of(v); }
  void record(ScalarCell<Value>*& at, std::uint32_t epoch, Value weight) const {
    if (!is_zero(weight)) x.record(at, epoch, product(weight, d));
  }
};

/// f(x, y), with its value and derivatives.
template <class X, class Y>
struct ScalarBinary : ScalarExpression {
  using Value = typename X::Value;
  static constexpr std::size_t kOperands = X::kOperands + Y::kOperands;
  X x;
  Y y;
  Value v;
  Value dx;
  Value dy;

  ScalarBinary(const X& left, const Y& right, const Value& value, const Value& dleft, const Value& dright)
      : x(left), y(right), v(value), dx(dleft), dy(dright) {}
  const Value& base() const { return v; }
  double value() const { return number_of(v); }
  void record(ScalarCell<Value>*& at, std::uint32_t epoch, Value weight) const {
    if (is_zero(weight)) return;  // contributes nothing, whatever the derivatives are
    x.record(at, epoch, product(weight, dx));
    y.record(at, epoch, product(weight, dy));
  }
};

}  // namespace detail

/// A number of a function of scalars: an input, the result of a statement, or a constant. It belongs to the
/// evaluation in which it was computed, and to its thread; what is computed of it behind that throws Error.
///
/// Real is BasicReal<double>. Where derivatives are themselves differentiated, V is a number that is recorded, too:
/// functions that are to have them are templates, as energy above.
template <class V>
class BasicReal : public detail::ScalarExpression {
 public:
  using Value = V;                             ///< what its number is
  static constexpr std::size_t kOperands = 1;  ///< the Reals in it: for expressions

  BasicReal() noexcept = default;
  /// A constant.
  template <class T>
  requires std::is_arithmetic_v<T> BasicReal(T value)
  noexcept : base_(static_cast<double>(value)) {}
  /// The value of an expression, as one statement of the record.
  template <detail::IsScalar E>
  requires(!std::same_as<E, BasicReal> && std::same_as<typename E::Value, V>) BasicReal(const E& e)
      : base_(e.base()) {
    record_statement(e);
  }
  template <detail::IsScalar E>
  requires(!std::same_as<E, BasicReal> && std::same_as<typename E::Value, V>) BasicReal& operator=(
      const E& e) {
    return *this = BasicReal(e);
  }

  /// The number itself, without its derivatives.
  double value() const noexcept { return detail::number_of(base_); }

  /// x = x + y, and so on.
  template <class T>
  BasicReal& operator+=(const T& x);
  template <class T>
  BasicReal& operator-=(const T& x);
  template <class T>
  BasicReal& operator*=(const T& x);
  template <class T>
  BasicReal& operator/=(const T& x);

  // What follows is not part of the library's interface.

  const V& base() const noexcept { return base_; }
  /// Whether it is this number, and nothing that is differentiated.
  bool is_constant(double number) const noexcept {
    if constexpr (std::same_as<V, double>)
      return number_ == 0 && base_ == number;
    else
      return number_ == 0 && base_.is_constant(number);
  }
  void record(detail::ScalarCell<V>*& at, std::uint32_t epoch, V weight) const {
    if (number_ == 0 || detail::is_zero(weight)) return;
    if (epoch_ != epoch) [[unlikely]]
      detail::throw_foreign_real(epoch != 0);
    *at++ = {std::move(weight), number_, 0};
  }
  /// Input `number` of a record.
  static BasicReal input(const detail::ScalarRecord<V>& record, std::uint32_t number,
                         const V& base) noexcept {
    BasicReal r;
    r.base_ = base;
    r.number_ = number;
    r.epoch_ = record.epoch();
    return r;
  }
  /// A constant of this evaluation, which an outer one may differentiate.
  static BasicReal constant(const V& base) noexcept {
    BasicReal r;
    r.base_ = base;
    return r;
  }
  /// Its number in the record; 0 of a constant. Throws Error where it belongs to another.
  std::uint32_t number_in(const detail::ScalarRecord<V>& record) const {
    if (number_ != 0 && epoch_ != record.epoch()) detail::throw_foreign_real(true);
    return number_;
  }

 private:
  template <class E>
  void record_statement(const E& e) {
    detail::ScalarRecord<V>* const record = detail::ScalarRecord<V>::active();
    if (!record) [[unlikely]] {  // of constants alone, or an error
      detail::ScalarCell<V> cells[E::kOperands];
      detail::ScalarCell<V>* at = cells;
      return e.record(at, 0, V(1));
    }
    detail::ScalarCell<V>* at = record->room(E::kOperands);
    e.record(at, record->epoch(), V(1));
    number_ = record->finish(at);
    epoch_ = record->epoch();
  }

  V base_{};
  std::uint32_t number_ = 0;
  std::uint32_t epoch_ = 0;
};

/// A number of doubles: the one to take unless derivatives are to be differentiated.
using Real = BasicReal<double>;

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

}  // namespace tapegrad

#include <tapegrad/ops/scalar/real_functions.h>
