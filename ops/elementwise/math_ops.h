#pragma once

#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/samples.h>

/// The structs behind <tapegrad/ops/elementwise/math.h>; <tapegrad/ops/op.h> explains the pattern.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

/// A tensor serves as a mask as it is: not zero is true.
inline const Tensor& mask(const Tensor& condition) { return condition; }
/// And as a number: 1 where true.
inline const Tensor& number(const Tensor& condition) { return condition; }

// ---- arithmetic ----

struct Add {
  static constexpr auto name = "add";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  static constexpr unsigned identity_grad = 0b11;
  auto f(auto a, auto b) const { return a + b; }
  auto vjp0(auto g, auto, auto, auto) const { return g; }
  auto vjp1(auto g, auto, auto, auto) const { return g; }
  static void samples(Samples& s) { s.binary(Add{}, {-2, 2}, {-2, 2}); }
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
  static void samples(Samples& s) { s.binary(Sub{}, {-2, 2}, {-2, 2}); }
};

struct Mul {
  static constexpr auto name = "mul";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn1, kIn0);
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a * b; }
  auto vjp0(auto g, auto, auto b, auto) const { return g * b; }
  auto vjp1(auto g, auto a, auto, auto) const { return g * a; }
  static void samples(Samples& s) { s.binary(Mul{}, {-2, 2}, {-2, 2}, {0, 1e-8, 1e8}); }
};

struct Div {
  static constexpr auto name = "div";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn1, kIn1 | kOut);
  auto f(auto a, auto b) const { return a / b; }
  auto vjp0(auto g, auto, auto b, auto) const { return g / b; }
  auto vjp1(auto g, auto, auto b, auto y) const { return -(g * y) / b; }
  static void samples(Samples& s) { s.binary(Div{}, {-2, 2}, {0.5, 2}, {1e-4, 1e4}); }
};

struct Neg {
  static constexpr auto name = "neg";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  auto f(auto x) const { return -x; }
  auto vjp(auto g, auto, auto) const { return -g; }
  static void samples(Samples& s) { s.unary(Neg{}, {-2, 2}); }
};

// The same with a C++ number, which is an attribute: no tensor is made for it.

struct AddScalar {
  static constexpr auto name = "add_scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  static constexpr unsigned identity_grad = 0b1;
  double c = 0;
  auto f(auto x) const { return x + c; }
  auto vjp(auto g, auto, auto) const { return g; }
  static void samples(Samples& s) { s.unary(AddScalar{.c = 1.5}, {-2, 2}); }
};

struct ScalarSub {
  static constexpr auto name = "scalar_sub";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  double c = 0;
  auto f(auto x) const { return c - x; }
  auto vjp(auto g, auto, auto) const { return -g; }
  static void samples(Samples& s) { s.unary(ScalarSub{.c = 1.5}, {-2, 2}); }
};

struct MulScalar {
  static constexpr auto name = "mul_scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool integers = true;
  double c = 0;
  auto f(auto x) const { return x * c; }
  auto vjp(auto g, auto, auto) const { return g * c; }
  static void samples(Samples& s) { s.unary(MulScalar{.c = 1.5}, {-2, 2}); }
};

struct DivScalar {
  static constexpr auto name = "div_scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kNone);
  double c = 0;
  auto f(auto x) const { return x / c; }
  auto vjp(auto g, auto, auto) const { return g / c; }
  static void samples(Samples& s) { s.unary(DivScalar{.c = 1.5}, {-2, 2}); }
};

struct ScalarDiv {
  static constexpr auto name = "scalar_div";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  double c = 0;
  auto f(auto x) const { return c / x; }
  auto vjp(auto g, auto x, auto y) const { return -(g * y) / x; }
  static void samples(Samples& s) { s.unary(ScalarDiv{.c = 1.5}, {0.5, 2}); }
};

// ---- powers, exponentials, logarithms ----

struct Pow {
  static constexpr auto name = "pow";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0 | kIn1 | kOut);
  auto f(auto a, auto b) const { return pow(a, b); }
  // The base is made 1 where a factor 0 would meet an infinity: 0^0 has slope 0. Masking the base and not the
  // result keeps the mixed derivative 1 / a at b = 0.
  auto vjp0(auto g, auto a, auto b, auto) const {
    return g * b * pow(where(b == 0, where(a == 0, 1, a), a), b - 1);
  }
  // For b >= 0 the limit of a^b ln a at a = 0 is 0, but 0^0, which is 1 throughout.
  auto vjp1(auto g, auto a, auto b, auto y) const {
    return g * y * log(where(b < 0, a, where(a == 0, 1, a)));
  }
  static void samples(Samples& s) {
    s.binary(Pow{}, {0.3, 2}, {-2, 2});
    s.convention(Pow{}, {{0, 0, 0, 0}, {0, 1, 2, 3}}, {{0, 1, 0, 0}, {0, 0, 0, 0}});
  }
};

struct PowScalar {
  static constexpr auto name = "pow_scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  double c = 0;
  auto f(auto x) const { return pow(x, c); }
  auto vjp(auto g, auto x, auto) const { return c == 0 ? 0 * g : g * c * pow(x, c - 1); }
  static void samples(Samples& s) {
    s.unary(PowScalar{.c = 2.5}, {0.3, 2});
    s.unary(PowScalar{.c = 3}, {-2, 2}, {0});
    s.unary(PowScalar{.c = -1}, {0.5, 2});
  }
};

struct Square {
  static constexpr auto name = "square";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool integers = true;
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return 2 * g * x; }
  static void samples(Samples& s) { s.unary(Square{}, {-2, 2}, {0, 1e-8, 1e8}); }
};

struct Sqrt {
  static constexpr auto name = "sqrt";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return sqrt(x); }
  auto vjp(auto g, auto, auto y) const { return 0.5 * g / y; }
  static void samples(Samples& s) { s.unary(Sqrt{}, {0.2, 3}, {1e-6, 1e6}); }
};

struct Rsqrt {
  static constexpr auto name = "rsqrt";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const { return 1 / sqrt(x); }
  auto vjp(auto g, auto x, auto y) const { return -0.5 * g * y / x; }
  static void samples(Samples& s) { s.unary(Rsqrt{}, {0.2, 3}, {1e-4, 1e6}); }
};

struct Exp {
  static constexpr auto name = "exp";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return exp(x); }
  auto vjp(auto g, auto, auto y) const { return g * y; }
  static void samples(Samples& s) { s.unary(Exp{}, {-3, 3}, {-20, 20}); }
};

struct Expm1 {
  static constexpr auto name = "expm1";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return expm1(x); }
  auto vjp(auto g, auto, auto y) const { return g * (y + 1); }
  static void samples(Samples& s) { s.unary(Expm1{}, {-3, 3}, {1e-10}); }
};

struct Log {
  static constexpr auto name = "log";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return log(x); }
  auto vjp(auto g, auto x, auto) const { return g / x; }
  static void samples(Samples& s) { s.unary(Log{}, {0.2, 3}, {1e-7, 1e7}); }
};

struct Log1p {
  static constexpr auto name = "log1p";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return log1p(x); }
  auto vjp(auto g, auto x, auto) const { return g / (1 + x); }
  static void samples(Samples& s) { s.unary(Log1p{}, {-0.7, 3}, {1e-10}); }
};

// ---- sign and magnitude ----

struct Abs {
  static constexpr auto name = "abs";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool integers = true;
  auto f(auto x) const { return abs(x); }
  auto vjp(auto g, auto x, auto) const { return g * sign(x); }
  static void samples(Samples& s) {
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
  static void samples(Samples& s) { s.unary(Sign{}, {-2, 2, {0}}); }
};

struct Maximum {
  static constexpr auto name = "maximum";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return maximum(a, b); }
  auto vjp0(auto g, auto a, auto b, auto) const { return where(a > b, g, where(a == b, 0.5 * g, 0)); }
  auto vjp1(auto g, auto a, auto b, auto) const { return where(b > a, g, where(a == b, 0.5 * g, 0)); }
  static void samples(Samples& s) {
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
  auto vjp0(auto g, auto a, auto b, auto) const { return where(a < b, g, where(a == b, 0.5 * g, 0)); }
  auto vjp1(auto g, auto a, auto b, auto) const { return where(b < a, g, where(a == b, 0.5 * g, 0)); }
  static void samples(Samples& s) {
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
  auto f(auto x) const { return minimum(maximum(x, lo), hi); }
  auto vjp(auto g, auto x, auto) const { return where(x < lo, 0, where(x > hi, 0, g)); }
  static void samples(Samples& s) {
    s.unary(Clamp{.lo = -1, .hi = 0.5}, {-2, 2, {-1, 0.5}});
    s.convention(Clamp{.lo = -1, .hi = 0.5}, {{-1, 0.5}}, {{1, 1}});
  }
};

// ---- trigonometry ----

struct Sin {
  static constexpr auto name = "sin";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return sin(x); }
  auto vjp(auto g, auto x, auto) const { return g * cos(x); }
  static void samples(Samples& s) { s.unary(Sin{}, {-3, 3}, {0, 100}); }
};

struct Cos {
  static constexpr auto name = "cos";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return cos(x); }
  auto vjp(auto g, auto x, auto) const { return -g * sin(x); }
  static void samples(Samples& s) { s.unary(Cos{}, {-3, 3}, {100}); }
};

struct Tan {
  static constexpr auto name = "tan";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return tan(x); }
  auto vjp(auto g, auto, auto y) const { return g * (1 + y * y); }
  static void samples(Samples& s) { s.unary(Tan{}, {-1.2, 1.2}); }
};

struct Asin {
  static constexpr auto name = "asin";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return asin(x); }
  auto vjp(auto g, auto x, auto) const { return g / sqrt((1 - x) * (1 + x)); }
  static void samples(Samples& s) { s.unary(Asin{}, {-0.9, 0.9}); }
};

struct Acos {
  static constexpr auto name = "acos";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return acos(x); }
  auto vjp(auto g, auto x, auto) const { return -g / sqrt((1 - x) * (1 + x)); }
  static void samples(Samples& s) { s.unary(Acos{}, {-0.9, 0.9}); }
};

struct Atan {
  static constexpr auto name = "atan";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return atan(x); }
  auto vjp(auto g, auto x, auto) const { return g / (1 + x * x); }
  static void samples(Samples& s) { s.unary(Atan{}, {-3, 3}, {1e4}); }
};

struct Sinh {
  static constexpr auto name = "sinh";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return sinh(x); }
  auto vjp(auto g, auto x, auto) const { return g * cosh(x); }
  static void samples(Samples& s) { s.unary(Sinh{}, {-3, 3}); }
};

struct Cosh {
  static constexpr auto name = "cosh";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return cosh(x); }
  auto vjp(auto g, auto x, auto) const { return g * sinh(x); }
  static void samples(Samples& s) { s.unary(Cosh{}, {-3, 3}); }
};

inline constexpr double kTwoOverSqrtPi = 1.1283791670955126;

struct Erf {
  static constexpr auto name = "erf";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return erf(x); }
  auto vjp(auto g, auto x, auto) const { return kTwoOverSqrtPi * g * exp(-(x * x)); }
  static void samples(Samples& s) { s.unary(Erf{}, {-2, 2}); }
};

struct Erfc {
  static constexpr auto name = "erfc";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return erfc(x); }
  auto vjp(auto g, auto x, auto) const { return -kTwoOverSqrtPi * g * exp(-(x * x)); }
  static void samples(Samples& s) { s.unary(Erfc{}, {-2, 2}, {5}); }
};

// ---- selection and comparison ----

struct Where {
  static constexpr auto name = "where";
  static constexpr std::size_t arity = 3;
  static constexpr auto saves = saves_for(kNone, kIn0, kIn0);
  static constexpr bool integers = true;
  auto f(auto c, auto a, auto b) const { return where(mask(c), a, b); }
  auto vjp0(auto g, auto, auto, auto, auto) const { return 0 * g; }  // a condition has no slope
  auto vjp1(auto g, auto c, auto, auto, auto) const { return where(mask(c), g, 0); }
  auto vjp2(auto g, auto c, auto, auto, auto) const { return where(mask(c), 0, g); }
  static constexpr unsigned nondifferentiable_inputs = 0b001;
  static void samples(Samples& s) {
    s.elementwise(Where{}, {{.only = {0, 1}}, {-2, 2}, {-2, 2}});
    s.add(Where{}, {SampleInput({2, 3}, {-1, 1, {0}}), Shape{3}, Shape{2, 3}});
  }
};

struct Equal {
  static constexpr auto name = "equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a == b; }
  static void samples(Samples& s) { s.binary(Equal{}, {-2, 2}, {-2, 2}); }
};

struct NotEqual {
  static constexpr auto name = "not_equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a != b; }
  static void samples(Samples& s) { s.binary(NotEqual{}, {-2, 2}, {-2, 2}); }
};

struct Less {
  static constexpr auto name = "less";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a < b; }
  static void samples(Samples& s) { s.binary(Less{}, {-2, 2}, {-2, 2}); }
};

struct LessEqual {
  static constexpr auto name = "less_equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a <= b; }
  static void samples(Samples& s) { s.binary(LessEqual{}, {-2, 2}, {-2, 2}); }
};

struct Greater {
  static constexpr auto name = "greater";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a > b; }
  static void samples(Samples& s) { s.binary(Greater{}, {-2, 2}, {-2, 2}); }
};

struct GreaterEqual {
  static constexpr auto name = "greater_equal";
  static constexpr std::size_t arity = 2;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto a, auto b) const { return a >= b; }
  static void samples(Samples& s) { s.binary(GreaterEqual{}, {-2, 2}, {-2, 2}); }
};

struct Cast {
  static constexpr auto name = "cast";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Dtype to = f32;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Cast>& ctx);
  static void samples(Samples& s) { s.add(Cast{.to = f64}, {Shape{2, 3}}); }
};

}  // namespace TAPEGRAD_API
