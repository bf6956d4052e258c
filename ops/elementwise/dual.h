#pragma once

#include <type_traits>

#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/numbers/real.h>

/// Dual numbers: a value and its change with one input. The rule of each function is taken from the struct of
/// the operation: an elementwise vjp is a product with the derivative, and so the same whether it carries a
/// gradient backward or a change forward.
namespace tapegrad::detail {

/// N is Real<float>, Real<double> or Tensor.
template <class N>
struct Dual {
  N v;
  N d;
};
template <class N>
Dual(N, N) -> Dual<N>;

template <class N>
inline constexpr bool is_number = std::is_same_v<N, Tensor>;
template <class T>
inline constexpr bool is_number<Real<T>> = true;
template <class N>
concept Number = is_number<N>;

// ---- functions of one number ----

template <class Op, class N>
Dual<N> dual_of(const Op& op, const Dual<N>& x) {
  const N y = op.f(x.v);
  return {y, op.vjp(x.d, x.v, y)};
}

#define TAPEGRAD_DUAL(function, Op)    \
  template <class N>                   \
  Dual<N> function(const Dual<N>& x) { \
    return dual_of(Op{}, x);           \
  }
/// Of functions that Real has not itself.
#define TAPEGRAD_DUAL_AND_REAL(function, Op) \
  TAPEGRAD_DUAL(function, Op)                \
  template <class T>                         \
  Real<T> function(Real<T> x) {              \
    return number(Op{}.f(x));                \
  }
TAPEGRAD_DUAL(operator-, Neg)
TAPEGRAD_DUAL(exp, Exp)
TAPEGRAD_DUAL(expm1, Expm1)
TAPEGRAD_DUAL(log, Log)
TAPEGRAD_DUAL(log1p, Log1p)
TAPEGRAD_DUAL(sqrt, Sqrt)
TAPEGRAD_DUAL(abs, Abs)
TAPEGRAD_DUAL(sin, Sin)
TAPEGRAD_DUAL(cos, Cos)
TAPEGRAD_DUAL(tan, Tan)
TAPEGRAD_DUAL(asin, Asin)
TAPEGRAD_DUAL(acos, Acos)
TAPEGRAD_DUAL(atan, Atan)
TAPEGRAD_DUAL(sinh, Sinh)
TAPEGRAD_DUAL(cosh, Cosh)
TAPEGRAD_DUAL(tanh, Tanh)
TAPEGRAD_DUAL(erf, Erf)
TAPEGRAD_DUAL(erfc, Erfc)
TAPEGRAD_DUAL(sigmoid, Sigmoid)
TAPEGRAD_DUAL_AND_REAL(square, Square)
TAPEGRAD_DUAL_AND_REAL(rsqrt, Rsqrt)
TAPEGRAD_DUAL_AND_REAL(relu, Relu)
TAPEGRAD_DUAL_AND_REAL(softplus, Softplus)
TAPEGRAD_DUAL_AND_REAL(gelu, Gelu)
TAPEGRAD_DUAL_AND_REAL(silu, Silu)
#undef TAPEGRAD_DUAL_AND_REAL
#undef TAPEGRAD_DUAL

template <class N>
Dual<N> pow(const Dual<N>& x, double exponent) {
  return dual_of(PowScalar{.c = exponent}, x);
}
template <class N>
Dual<N> leaky_relu(const Dual<N>& x, double slope = LeakyRelu{}.slope) {
  return dual_of(LeakyRelu{.slope = slope}, x);
}
template <class T>
Real<T> leaky_relu(Real<T> x, double slope = LeakyRelu{}.slope) {
  return LeakyRelu{.slope = slope}.f(x);
}
template <class N>
Dual<N> elu(const Dual<N>& x, double alpha = Elu{}.alpha) {
  return dual_of(Elu{.alpha = alpha}, x);
}
template <class T>
Real<T> elu(Real<T> x, double alpha = Elu{}.alpha) {
  return Elu{.alpha = alpha}.f(x);
}
template <class N>
Dual<N> clamp(const Dual<N>& x, double lo, double hi) {
  return dual_of(Clamp{.lo = lo, .hi = hi}, x);
}
template <class T>
Real<T> clamp(Real<T> x, double lo, double hi) {
  return Clamp{.lo = lo, .hi = hi}.f(x);
}

/// Flat wherever they have a derivative.
template <class N>
Dual<N> sign(const Dual<N>& x) {
  return {sign(x.v), 0 * x.d};
}
template <class N>
Dual<N> step(const Dual<N>& x) {
  return {number(Step{}.f(x.v)), 0 * x.d};
}
template <class T>
Real<T> step(Real<T> x) {
  return number(Step{}.f(x));
}

// ---- functions of two ----

// Of a dual number and another, of a dual number and one that does not change, and the other way round.
#define TAPEGRAD_DUAL(function, Op)                                        \
  template <class N>                                                       \
  Dual<N> function(const Dual<N>& a, const Dual<N>& b) {                   \
    const N y = Op{}.f(a.v, b.v);                                          \
    return {y, Op{}.vjp0(a.d, a.v, b.v, y) + Op{}.vjp1(b.d, a.v, b.v, y)}; \
  }                                                                        \
  template <Number N>                                                      \
  Dual<N> function(const Dual<N>& a, const N& b) {                         \
    const N y = Op{}.f(a.v, b);                                            \
    return {y, Op{}.vjp0(a.d, a.v, b, y)};                                 \
  }                                                                        \
  template <Number N>                                                      \
  Dual<N> function(const N& a, const Dual<N>& b) {                         \
    const N y = Op{}.f(a, b.v);                                            \
    return {y, Op{}.vjp1(b.d, a, b.v, y)};                                 \
  }
TAPEGRAD_DUAL(operator+, Add)
TAPEGRAD_DUAL(operator-, Sub)
TAPEGRAD_DUAL(operator*, Mul)
TAPEGRAD_DUAL(operator/, Div)
TAPEGRAD_DUAL(pow, Pow)
TAPEGRAD_DUAL(maximum, Maximum)
TAPEGRAD_DUAL(minimum, Minimum)
#undef TAPEGRAD_DUAL

// With a constant of C++ on either side.
#define TAPEGRAD_DUAL(function, Right, Left)     \
  template <class N>                             \
  Dual<N> function(const Dual<N>& a, double b) { \
    return dual_of(Right{.c = b}, a);            \
  }                                              \
  template <class N>                             \
  Dual<N> function(double a, const Dual<N>& b) { \
    return dual_of(Left{.c = a}, b);             \
  }
TAPEGRAD_DUAL(operator+, AddScalar, AddScalar)
TAPEGRAD_DUAL(operator*, MulScalar, MulScalar)
TAPEGRAD_DUAL(operator/, DivScalar, ScalarDiv)
#undef TAPEGRAD_DUAL
template <class N>
Dual<N> operator-(const Dual<N>& a, double b) {
  return dual_of(AddScalar{.c = -b}, a);
}
template <class N>
Dual<N> operator-(double a, const Dual<N>& b) {
  return dual_of(ScalarSub{.c = a}, b);
}
template <class N>
Dual<N> maximum(const Dual<N>& a, double b) {
  const N y = maximum(a.v, b);
  return {y, Maximum{}.vjp0(a.d, a.v, b, y)};
}
template <class N>
Dual<N> minimum(const Dual<N>& a, double b) {
  const N y = minimum(a.v, b);
  return {y, Minimum{}.vjp0(a.d, a.v, b, y)};
}

// ---- comparison and selection ----

template <class X>
const X& value_of(const X& x) {
  return x;
}
template <class N>
const N& value_of(const Dual<N>& x) {
  return x.v;
}
template <class X>
inline constexpr bool is_dual = false;
template <class N>
inline constexpr bool is_dual<Dual<N>> = true;
template <class A, class B>
concept EitherDual = is_dual<A> || is_dual<B>;

#define TAPEGRAD_COMPARE(op)  \
  template <class A, class B> \
  requires EitherDual<A, B>   \
  auto operator op(const A& a, const B& b) { return value_of(a) op value_of(b); }
TAPEGRAD_COMPARE(<)
TAPEGRAD_COMPARE(<=)
TAPEGRAD_COMPARE(>)
TAPEGRAD_COMPARE(>=)
TAPEGRAD_COMPARE(==)
TAPEGRAD_COMPARE(!=)
#undef TAPEGRAD_COMPARE

/// The change of x: that of a dual number, and 0 for one that does not change.
template <class N>
const N& change_of(const Dual<N>& x) {
  return x.d;
}
template <class X>
double change_of(const X&) {
  return 0;
}

template <class M, class A, class B>
requires EitherDual<A, B>
auto where(const M& condition, const A& a, const B& b) {
  return Dual{where(condition, value_of(a), value_of(b)), where(condition, change_of(a), change_of(b))};
}

/// What the result of a function of a dual number changes by; `zero` times nothing where it does not depend
/// on it.
template <class N>
N tangent(const Dual<N>& y, const N&) {
  return y.d;
}
template <class Y, class N>
N tangent(const Y&, const N& g) {
  return 0 * g;
}

}  // namespace tapegrad::detail
