#pragma once

#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/op.h>

/// The structs of arithmetic, selection and comparison; <tapegrad/ops/op.h> explains the pattern. A new one is a
/// struct here and a row in rows.h.
namespace tapegrad {

/// A tensor serves as a mask as it is: not zero is true.
inline const Tensor& mask(const Tensor& condition) { return condition; }
/// And as a number: 1 where true.
inline const Tensor& number(const Tensor& condition) { return condition; }

/// factor * x, and 0 where the factor is 0 even if x is infinite: the limit of what decays faster than x grows.
template <class N, class X>
auto vanishing_product(const N& factor, const X& x) {
  return where(factor == 0, 0, factor * x);
}

namespace detail {

/// The gradient of an input that a result does not depend on. A NaN shows.
auto nothing_of(auto g) { return where(g == g, kNothing, g); }
/// That of one of two inputs the greater of which, or the less, is the result; equals share it.
auto share_of(auto g, auto is_result, auto is_equal) {
  return where(is_result, g, where(is_equal, 0.5 * g, kNothing));
}

}  // namespace detail

// Formulas find it by their argument, but for a Tensor, whose namespace is this one.
using detail::contribution_of_constant;

namespace op TAPEGRAD_API {  // the structs are part of the names of exported templates

struct Add {
  static constexpr auto name = "add";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  static constexpr unsigned identity_grad = 0b11;
  auto f(auto a, auto b) const { return a + b; }
  auto vjp0(auto g, auto, auto, auto) const { return g; }
  auto vjp1(auto g, auto, auto, auto) const { return g; }
  static void samples(auto& s) { s.binary(Add{}, {-2, 2}, {-2, 2}); }
};

struct Sub {
  static constexpr auto name = "sub";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  static constexpr unsigned identity_grad = 0b01;
  auto f(auto a, auto b) const { return a - b; }
  auto vjp0(auto g, auto, auto, auto) const { return g; }
  auto vjp1(auto g, auto, auto, auto) const { return -g; }
  static void samples(auto& s) { s.binary(Sub{}, {-2, 2}, {-2, 2}); }
};

struct Mul {
  static constexpr auto name = "mul";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn1, kIn0);
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a * b; }
  auto vjp0(auto g, auto, auto b, auto) const { return g * b; }
  auto vjp1(auto g, auto a, auto, auto) const { return g * a; }
  static void samples(auto& s) { s.binary(Mul{}, {-2, 2}, {-2, 2}, {0, 1e-8, 1e8}); }
};

struct Div {
  static constexpr auto name = "div";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn1, kIn1 | kOut);
  auto f(auto a, auto b) const { return a / b; }
  auto vjp0(auto g, auto, auto b, auto) const { return g / b; }
  auto vjp1(auto g, auto, auto b, auto y) const { return -(g * y) / b; }
  static void samples(auto& s) { s.binary(Div{}, {-2, 2}, {0.5, 2}, {1e-4, 1e4}); }
};

struct Neg {
  static constexpr auto name = "neg";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  auto f(auto x) const { return -x; }
  auto vjp(auto g, auto, auto) const { return -g; }
  static void samples(auto& s) { s.unary(Neg{}, {-2, 2}); }
};

// The same with a C++ number, which is an attribute: no tensor is made for it.

struct AddScalar {
  static constexpr auto name = "add.scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  static constexpr unsigned identity_grad = 0b1;
  double c = 0;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return x + c; }
  auto vjp(auto g, auto, auto) const { return g; }
  static void samples(auto& s) {
    s.unary(AddScalar{.c = 1.5}, {-2, 2});
    s.add(AddScalar{.c = -0.25}, {Shape{3}});
  }
};

struct ScalarSub {
  static constexpr auto name = "sub.scalar_left";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  double c = 0;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return c - x; }
  auto vjp(auto g, auto, auto) const { return -g; }
  static void samples(auto& s) {
    s.unary(ScalarSub{.c = 1.5}, {-2, 2});
    s.add(ScalarSub{.c = -0.25}, {Shape{3}});
  }
};

struct MulScalar {
  static constexpr auto name = "mul.scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  double c = 0;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return x * c; }
  static constexpr bool selects = true;  // as a contribution
  auto vjp(auto g, auto, auto) const { return contribution_of_constant(g, g * c, c); }
  static void samples(auto& s) { s.unary(MulScalar{.c = 1.5}, {-2, 2}); }
};

struct DivScalar {
  static constexpr auto name = "div.scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  double c = 0;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return x / c; }
  static constexpr bool selects = true;  // as a contribution
  auto vjp(auto g, auto, auto) const { return contribution_of_constant(g, g / c, 1 / c); }
  static void samples(auto& s) {
    s.unary(DivScalar{.c = 1.5}, {-2, 2});
    s.add(DivScalar{.c = -0.25}, {Shape{3}});
  }
};

struct ScalarDiv {
  static constexpr auto name = "div.scalar_left";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  double c = 0;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return c / x; }
  auto vjp(auto g, auto x, auto y) const { return -(g * y) / x; }
  static void samples(auto& s) {
    s.unary(ScalarDiv{.c = 1.5}, {0.5, 2});
    s.add(ScalarDiv{.c = -0.25}, {{Shape{3}, {0.5, 2}}});
  }
};

struct Abs {
  static constexpr auto name = "abs";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool integers = true;
  auto f(auto x) const { return abs(x); }
  auto vjp(auto g, auto x, auto) const { return g * sign(x); }
  static void samples(auto& s) {
    s.unary(Abs{}, {-2, 2, {0}});
    s.convention(Abs{}, {{0}}, {{0}});
  }
};

struct Sign {
  static constexpr auto name = "sign";
  static constexpr std::size_t arity = 1;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto x) const { return sign(x); }
  static void samples(auto& s) { s.unary(Sign{}, {-2, 2, {0}}); }
};

struct Maximum {
  static constexpr auto name = "maximum";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return maximum(a, b); }
  static constexpr bool selects = true;
  auto vjp0(auto g, auto a, auto b, auto) const { return detail::share_of(g, a > b, a == b); }
  auto vjp1(auto g, auto a, auto b, auto) const { return detail::share_of(g, b > a, a == b); }
  static void samples(auto& s) {
    s.binary(Maximum{}, {-2, 2}, {-2, 2});
    s.convention(Maximum{}, {{1}, {1}}, {{0.5}, {0.5}});
  }
};

struct Minimum {
  static constexpr auto name = "minimum";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return minimum(a, b); }
  static constexpr bool selects = true;
  auto vjp0(auto g, auto a, auto b, auto) const { return detail::share_of(g, a < b, a == b); }
  auto vjp1(auto g, auto a, auto b, auto) const { return detail::share_of(g, b < a, a == b); }
  static void samples(auto& s) {
    s.binary(Minimum{}, {-2, 2}, {-2, 2});
    s.convention(Minimum{}, {{1}, {1}}, {{0.5}, {0.5}});
  }
};

struct Clamp {
  static constexpr auto name = "clamp";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool integers = true;
  double lo = 0;
  double hi = 0;
  void describe(AttributeVisitor& v) const { v("lo", lo), v("hi", hi); }
  auto f(auto x) const { return minimum(maximum(x, lo), hi); }
  static constexpr bool selects = true;
  auto vjp(auto g, auto x, auto) const {
    return where(x < lo, detail::kNothing, where(x > hi, detail::kNothing, g));
  }
  static void samples(auto& s) {
    s.unary(Clamp{.lo = -1, .hi = 0.5}, {-2, 2, {-1, 0.5}});
    s.add(Clamp{.lo = 0.25, .hi = 1}, {{Shape{7}, {-2, 2, {0.25, 1}}}});
    s.convention(Clamp{.lo = -1, .hi = 0.5}, {{-1, 0.5}}, {{1, 1}});
  }
};

// ---- selection and comparison ----

struct Where {
  static constexpr auto name = "where";
  static constexpr std::size_t arity = 3;
  static constexpr auto saves = saves_for(kNone, kIn0, kIn0);
  static constexpr bool integers = true;
  auto f(auto c, auto a, auto b) const { return where(mask(c), a, b); }
  static constexpr bool selects = true;
  auto vjp0(auto g, auto, auto, auto, auto) const {
    return detail::nothing_of(g);
  }  // a condition has no slope
  auto vjp1(auto g, auto c, auto, auto, auto) const { return where(mask(c), g, detail::kNothing); }
  auto vjp2(auto g, auto c, auto, auto, auto) const { return where(mask(c), detail::kNothing, g); }
  static constexpr unsigned nondifferentiable_inputs = 0b001;
  static void samples(auto& s) {
    s.elementwise(Where{}, {{.only = {0, 1}}, {-2, 2}, {-2, 2}});
    s.add(Where{}, {{{2, 3}, {-1, 1, {0}}}, Shape{3}, Shape{2, 3}});
  }
};

struct Equal {
  static constexpr auto name = "equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a == b; }
  static void samples(auto& s) { s.binary(Equal{}, {-2, 2}, {-2, 2}); }
};

struct NotEqual {
  static constexpr auto name = "not_equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a != b; }
  static void samples(auto& s) { s.binary(NotEqual{}, {-2, 2}, {-2, 2}); }
};

struct Less {
  static constexpr auto name = "less";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a < b; }
  static void samples(auto& s) { s.binary(Less{}, {-2, 2}, {-2, 2}); }
};

struct LessEqual {
  static constexpr auto name = "less_equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a <= b; }
  static void samples(auto& s) { s.binary(LessEqual{}, {-2, 2}, {-2, 2}); }
};

struct Greater {
  static constexpr auto name = "greater";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a > b; }
  static void samples(auto& s) { s.binary(Greater{}, {-2, 2}, {-2, 2}); }
};

struct GreaterEqual {
  static constexpr auto name = "greater_equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a >= b; }
  static void samples(auto& s) { s.binary(GreaterEqual{}, {-2, 2}, {-2, 2}); }
};

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
