#pragma once

#include <type_traits>

#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/change.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/elementwise/special_ops.h>
#include <tapegrad/ops/loops/elementwise.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/numbers/real.h>

/// Dual numbers: a value and its change with one input. The rule of each function is taken from the struct of
/// the operation: an elementwise vjp is a product with the derivative, and so the same whether it carries a
/// gradient backward or a change forward.
namespace tapegrad::detail {

/// N is Real<float>, Real<double> or Tensor; D is N, or Tangents<N, K> for the changes with K inputs.
template <class N, class D = N>
struct Dual {
  N v;
  D d;
};
template <class N, class D>
Dual(N, D) -> Dual<N, D>;

template <class N>
inline constexpr bool is_number = std::is_same_v<N, Tensor>;
template <class T>
inline constexpr bool is_number<Real<T>> = true;
template <class N>
concept Number = is_number<N>;

// ---- functions of one number ----

/// Whether an op has a derivative; one without is constant wherever it has one.
template <class Op>
inline constexpr bool has_rule = requires {
  Op::saves;
};

/// What the change d of an input of op, at these values of its inputs and output, changes the output by. Nothing where
/// d is exactly 0, or the derivative is, even if the other is infinite or NaN.
template <class Op, std::size_t Input, class D, class... A>
D change_by(const Op& op, const D& d, const A&... values) {
  return elementwise_vjp<Input>(op, Change<D>{d}, values...).v;
}
template <class Op, std::size_t Input, class... A>
Tensor change_by(const Op& op, const Tensor& d, const A&... values) {
  const Tensor r = elementwise_contribution<Op, Input>(op, d, values...);
  if (all_finite(r)) return r;
  const Tensor one = Tensor::ones(d.shape(), d.dtype());
  return contribution(elementwise_contribution<Op, Input>(op, one, values...), r);
}

/// Of a function of one number, whose value y comes from the function itself: a tensor's then knows the operation's
/// derivative, where the formula of the struct may have another one at a point where branches meet, as that of
/// maximum(x, 0) at 0.
template <class Op, class N, class D>
Dual<N, D> dual_by(const Op& op, const Dual<N, D>& x, const N& y) {
  if constexpr (has_rule<Op>)
    return {y, change_by<Op, 0>(op, x.d, x.v, y)};
  else
    return {y, nothing_of(x.d)};
}

template <class Op, class N, class D>
Dual<N, D> dual_of(const Op& op, const Dual<N, D>& x) {
  return dual_by(op, x, N(number(op.f(x.v))));
}

template <class N, class D>
Dual<N, D> operator-(const Dual<N, D>& x) {
  return dual_of(op::Neg{}, x);
}

// Of functions that Real has itself, its own is the better match.
#define TAPEGRAD_ROW(function, Op, ...)            \
  template <class N, class D>                      \
  Dual<N, D> function(const Dual<N, D>& x) {       \
    return dual_by(op::Op{}, x, N(function(x.v))); \
  }                                                \
  template <class T>                               \
  Real<T> function(Real<T> x) {                    \
    return number(op::Op{}.f(x));                  \
  }
TAPEGRAD_UNARY_OPS(TAPEGRAD_ROW)
TAPEGRAD_SLOPE_OPS(TAPEGRAD_ROW)
TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, name, initialiser, attribute, standard)          \
  template <class N, class D>                                                       \
  Dual<N, D> function(const Dual<N, D>& x, double attribute = standard) {           \
    return dual_by(op::Op{.attribute = attribute}, x, N(function(x.v, attribute))); \
  }                                                                                 \
  template <class T>                                                                \
  Real<T> function(Real<T> x, double attribute = standard) {                        \
    return op::Op{.attribute = attribute}.f(x);                                     \
  }
TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

template <class N, class D>
Dual<N, D> pow(const Dual<N, D>& x, double exponent) {
  return dual_of(op::PowScalar{.c = exponent}, x);
}
template <class N, class D>
Dual<N, D> gaussian(const Dual<N, D>& x, double c) {
  return dual_of(op::Gaussian{.c = c}, x);
}
template <class N, class D>
Dual<N, D> clamp(const Dual<N, D>& x, double lo, double hi) {
  return dual_of(op::Clamp{.lo = lo, .hi = hi}, x);
}
template <class T>
Real<T> clamp(Real<T> x, double lo, double hi) {
  return op::Clamp{.lo = lo, .hi = hi}.f(x);
}

// Value and derivative at once: within a formula both are needed.
template <class T, class D>
Dual<Real<T>, D> sigmoid(const Dual<Real<T>, D>& x) {
  const vm::WithComplement<T> s = vm::sigmoid_and_complement(x.v.v);
  return {{s.y}, (Change<D>{x.d} * Real<T>{s.y * s.complement}).v};
}
template <class T, class D>
Dual<Real<T>, D> tanh(const Dual<Real<T>, D>& x) {
  const vm::WithComplement<T> t = vm::tanh_and_complement(x.v.v);
  return {{vm::with_sign_of(t.y, x.v.v)}, (Change<D>{x.d} * Real<T>{t.complement * (1 + t.y)}).v};
}

template <class T>
double largest_like(Real<T>) {
  return row_of(dtype_of<T>).largest;
}
inline double largest_like(const Tensor& x) { return row_of(x.dtype()).largest; }
template <class N, class D>
Dual<N, D> nan_to_num(const Dual<N, D>& x, double nan = 0, std::optional<double> posinf = {},
                      std::optional<double> neginf = {}) {
  return dual_of(op::NanToNum::of(largest_like(x.v), nan, posinf, neginf), x);
}
template <class T>
Real<T> nan_to_num(Real<T> x, double nan = 0, std::optional<double> posinf = {},
                   std::optional<double> neginf = {}) {
  return op::NanToNum::of(largest_like(x), nan, posinf, neginf).f(x);
}

// ---- functions of two ----

// Of a dual number and another, of a dual number and one that does not change, and the other way round.
#define TAPEGRAD_ROW(function, Op, ...)                               \
  template <class N, class D>                                         \
  Dual<N, D> function(const Dual<N, D>& a, const Dual<N, D>& b) {     \
    const N y = op::Op{}.f(a.v, b.v);                                 \
    return {y, change_by<op::Op, 0>(op::Op{}, a.d, a.v, b.v, y) +     \
                   change_by<op::Op, 1>(op::Op{}, b.d, a.v, b.v, y)}; \
  }                                                                   \
  template <Number N, class D>                                        \
  Dual<N, D> function(const Dual<N, D>& a, const N& b) {              \
    const N y = op::Op{}.f(a.v, b);                                   \
    return {y, change_by<op::Op, 0>(op::Op{}, a.d, a.v, b, y)};       \
  }                                                                   \
  template <Number N, class D>                                        \
  Dual<N, D> function(const N& a, const Dual<N, D>& b) {              \
    const N y = op::Op{}.f(a, b.v);                                   \
    return {y, change_by<op::Op, 1>(op::Op{}, b.d, a, b.v, y)};       \
  }
TAPEGRAD_BINARY_OPS(TAPEGRAD_ROW)
TAPEGRAD_BINARY_FUNCTIONS(TAPEGRAD_ROW)
TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW)
TAPEGRAD_ROW(operator+, Add)
TAPEGRAD_ROW(operator-, Sub)
TAPEGRAD_ROW(operator*, Mul)
TAPEGRAD_ROW(operator/, Div)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, ...)    \
  template <class T>                       \
  Real<T> function(Real<T> a, Real<T> b) { \
    return number(op::Op{}.f(a, b));       \
  }
TAPEGRAD_BINARY_OPS(TAPEGRAD_ROW)
TAPEGRAD_BINARY_FUNCTIONS(TAPEGRAD_ROW)
TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

// With a constant of C++ on either side.
#define TAPEGRAD_DUAL(function, Right, Left)           \
  template <class N, class D>                          \
  Dual<N, D> function(const Dual<N, D>& a, double b) { \
    return dual_of(op::Right{.c = b}, a);              \
  }                                                    \
  template <class N, class D>                          \
  Dual<N, D> function(double a, const Dual<N, D>& b) { \
    return dual_of(op::Left{.c = a}, b);               \
  }
TAPEGRAD_DUAL(operator+, AddScalar, AddScalar)
TAPEGRAD_DUAL(operator*, MulScalar, MulScalar)
TAPEGRAD_DUAL(operator/, DivScalar, ScalarDiv)
#undef TAPEGRAD_DUAL
template <class N, class D>
Dual<N, D> operator-(const Dual<N, D>& a, double b) {
  return dual_of(op::AddScalar{.c = -b}, a);
}
template <class N, class D>
Dual<N, D> operator-(double a, const Dual<N, D>& b) {
  return dual_of(op::ScalarSub{.c = a}, b);
}

/// A constant as a number of this kind.
template <class T>
Real<T> constant_like(Real<T>, double c) {
  return Real<T>::of(c);
}
inline Tensor constant_like(const Tensor& x, double c) { return scalar_like(x, c); }

#define TAPEGRAD_ROW(function, Op)                     \
  template <class N, class D>                          \
  Dual<N, D> function(const Dual<N, D>& a, double b) { \
    return function(a, constant_like(a.v, b));         \
  }                                                    \
  template <class N, class D>                          \
  Dual<N, D> function(double a, const Dual<N, D>& b) { \
    return function(constant_like(b.v, a), b);         \
  }                                                    \
  template <class T>                                   \
  Real<T> function(Real<T> a, double b) {              \
    return function(a, Real<T>::of(b));                \
  }                                                    \
  template <class T>                                   \
  Real<T> function(double a, Real<T> b) {              \
    return function(Real<T>::of(a), b);                \
  }
TAPEGRAD_BINARY_FUNCTIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

// ---- comparison and selection ----

template <class X>
const X& value_of(const X& x) {
  return x;
}
template <class N, class D>
const N& value_of(const Dual<N, D>& x) {
  return x.v;
}
template <class X>
inline constexpr bool is_dual = false;
template <class N, class D>
inline constexpr bool is_dual<Dual<N, D>> = true;
template <class A, class B>
concept EitherDual = is_dual<A> || is_dual<B>;

#define TAPEGRAD_ROW(op)      \
  template <class A, class B> \
  requires EitherDual<A, B>   \
  auto operator op(const A& a, const B& b) { return value_of(a) op value_of(b); }
TAPEGRAD_COMPARISON_OPERATORS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

/// The change of x: that of a dual number, and 0 for one that does not change.
template <class N, class D>
const D& change_of(const Dual<N, D>& x) {
  return x.d;
}
template <class X>
double change_of(const X&) {
  return kNothing;
}

template <class M, class A, class B>
requires EitherDual<A, B>
auto where(const M& condition, const A& a, const B& b) {
  return Dual{where(condition, value_of(a), value_of(b)), where(condition, change_of(a), change_of(b))};
}

/// A number as a condition, as on tensors: true where it is not 0.
template <class T, class A, class B>
auto where(Real<T> condition, const A& a, const B& b) {
  return where(mask(condition), a, b);
}
template <class N, class D, class A, class B>
auto where(const Dual<N, D>& condition, const A& a, const B& b) {
  return where(condition.v, a, b);
}

/// What the result of a function of a dual number changes by; nothing where it does not depend on it, unless g is NaN.
template <class N, class D>
D tangent(const Dual<N, D>& y, const D&) {
  return y.d;
}
template <class Y, class D>
D tangent(const Y&, const D& g) {
  return nothing_of(g);
}

}  // namespace tapegrad::detail
