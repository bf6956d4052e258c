#pragma once

#include <tapegrad/ops/elementwise/arithmetic_ops.h>
#include <tapegrad/ops/elementwise/slope_ops.h>

/// The structs of powers, exponentials, logarithms and trigonometry; <tapegrad/ops/op.h> explains the pattern. A
/// new one is a struct here and a row in rows.h.
namespace tapegrad {

namespace op TAPEGRAD_API {  // the structs are part of the names of exported templates

struct PowerLog;
}  // namespace TAPEGRAD_API

/// a^b (ln a)^n for a whole n: the n-th derivative of a^b for b.
inline Tensor power_log(const Tensor& a, const Tensor& b, double n);
/// The first, of which y = a^b is known: where that is in range, a number need not be raised again.
inline Tensor power_log(const Tensor& a, const Tensor& b, double n, const Tensor&) {
  return power_log(a, b, n);
}

namespace op TAPEGRAD_API {

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
  // 0^0 is 1 throughout.
  auto vjp1(auto g, auto a, auto b, auto y) const {
    auto slope = power_log(a, b, 1, y);
    return g * where(a == 0, where(b == 0, 0, slope), slope);
  }
  static void samples(auto& s) {
    s.binary(Pow{}, {0.3, 2}, {-2, 2});
    s.convention(Pow{}, {{0, 0, 0, 0}, {0, 1, 2, 3}}, {{0, 1, 0, 0}, {0, 0, 0, 0}});
  }
};

/// An operation of its own, as the product of a^b and ln a loses the derivative for a where a^b is beyond the range.
struct PowerLog {
  static constexpr auto name = "power_log";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  double n = 1;
  void describe(AttributeVisitor& v) const { v("n", n); }
  auto f(auto a, auto b) const { return power_log(a, b, n); }
  auto vjp0(auto g, auto a, auto b, auto) const {
    return g * (b * power_log(a, b - 1, n) + n * power_log(a, b - 1, n - 1));
  }
  auto vjp1(auto g, auto a, auto b, auto) const { return g * power_log(a, b, n + 1); }
  static void samples(auto& s) {
    s.binary(PowerLog{.n = 1}, {0.3, 2}, {-2, 2});
    s.binary(PowerLog{.n = 2}, {1.5, 3}, {0.5, 2});
    s.convention(PowerLog{.n = 1}, {{0, 0}, {2, 3}}, {{0, 0}, {0, 0}});
  }
};

struct PowScalar {
  static constexpr auto name = "pow.scalar";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  double c = 0;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return pow(x, c); }
  auto vjp(auto g, auto x, auto) const { return c == 0 ? 0 * g : g * c * pow(x, c - 1); }
  static void samples(auto& s) {
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
  static void samples(auto& s) { s.unary(Square{}, {-2, 2}, {0, 1e-8, 1e8}); }
};

struct Sqrt {
  static constexpr auto name = "sqrt";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return sqrt(x); }
  auto vjp(auto g, auto, auto y) const { return 0.5 * g / y; }
  static void samples(auto& s) { s.unary(Sqrt{}, {0.2, 3}, {1e-6, 1e6}); }
};

struct Rsqrt {
  static constexpr auto name = "rsqrt";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const {
    if constexpr (std::is_same_v<decltype(x), Tensor>)
      return rsqrt(x);  // one operation in a map as well, with the derivatives that it has by itself at 0
    else
      return 1 / sqrt(x);
  }
  auto vjp(auto g, auto x, auto y) const { return -0.5 * g * y / x; }
  static void samples(auto& s) { s.unary(Rsqrt{}, {0.2, 3}, {1e-4, 1e6}); }
};

struct Exp {
  static constexpr auto name = "exp";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return exp(x); }
  auto vjp(auto g, auto, auto y) const { return g * y; }
  static void samples(auto& s) { s.unary(Exp{}, {-3, 3}, {-20, 20}); }
};

struct Expm1 {
  static constexpr auto name = "expm1";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return expm1(x); }
  auto vjp(auto g, auto x, auto) const { return g * exp(x); }  // y + 1 has no digits left where y is near -1
  static void samples(auto& s) { s.unary(Expm1{}, {-3, 3}, {1e-10, -40}); }
};

struct Log {
  static constexpr auto name = "log";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return log(x); }
  auto vjp(auto g, auto x, auto) const { return g / x; }
  static void samples(auto& s) { s.unary(Log{}, {0.2, 3}, {1e-7, 1e7}); }
};

struct Log1p {
  static constexpr auto name = "log1p";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return log1p(x); }
  auto vjp(auto g, auto x, auto) const { return g / (1 + x); }
  static void samples(auto& s) { s.unary(Log1p{}, {-0.7, 3}, {1e-10}); }
};

// ---- trigonometry ----

struct Sin {
  static constexpr auto name = "sin";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return sin(x); }
  auto vjp(auto g, auto x, auto) const { return g * cos(x); }
  static void samples(auto& s) { s.unary(Sin{}, {-3, 3}, {0, 100}); }
};

struct Cos {
  static constexpr auto name = "cos";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return cos(x); }
  auto vjp(auto g, auto x, auto) const { return -g * sin(x); }
  static void samples(auto& s) { s.unary(Cos{}, {-3, 3}, {100}); }
};

struct Tan {
  static constexpr auto name = "tan";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return tan(x); }
  auto vjp(auto g, auto, auto y) const { return g * (1 + y * y); }
  static void samples(auto& s) { s.unary(Tan{}, {-1.2, 1.2}); }
};

struct Asin {
  static constexpr auto name = "asin";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return asin(x); }
  auto vjp(auto g, auto x, auto) const { return g * asin_slope(x); }
  static void samples(auto& s) { s.unary(Asin{}, {-0.9, 0.9}); }
};

struct Acos {
  static constexpr auto name = "acos";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return acos(x); }
  auto vjp(auto g, auto x, auto) const { return -g * asin_slope(x); }
  static void samples(auto& s) { s.unary(Acos{}, {-0.9, 0.9}); }
};

struct Atan {
  static constexpr auto name = "atan";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return atan(x); }
  auto vjp(auto g, auto x, auto) const { return g * atan_slope(x); }
  static void samples(auto& s) { s.unary(Atan{}, {-3, 3}, {1e4}); }
};

struct Sinh {
  static constexpr auto name = "sinh";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return sinh(x); }
  auto vjp(auto g, auto x, auto) const { return g * cosh(x); }
  static void samples(auto& s) { s.unary(Sinh{}, {-3, 3}); }
};

struct Cosh {
  static constexpr auto name = "cosh";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return cosh(x); }
  auto vjp(auto g, auto x, auto) const { return g * sinh(x); }
  static void samples(auto& s) { s.unary(Cosh{}, {-3, 3}); }
};

inline constexpr double kTwoOverSqrtPi = 1.1283791670955126;

struct Erf {
  static constexpr auto name = "erf";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return erf(x); }
  auto vjp(auto g, auto x, auto) const { return kTwoOverSqrtPi * g * gaussian(x, 1); }
  static void samples(auto& s) { s.unary(Erf{}, {-2, 2}, {-6, 6}); }
};

struct Erfc {
  static constexpr auto name = "erfc";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return erfc(x); }
  auto vjp(auto g, auto x, auto) const { return -kTwoOverSqrtPi * g * gaussian(x, 1); }
  static void samples(auto& s) { s.unary(Erfc{}, {-2, 2}, {5}); }
};

}  // namespace TAPEGRAD_API

inline Tensor power_log(const Tensor& a, const Tensor& b, double n) {
  return n == 0 ? pow(a, b) : apply_op(op::PowerLog{.n = n}, a, b);
}
}  // namespace tapegrad
