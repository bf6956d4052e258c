#pragma once

#include <limits>
#include <optional>
#include <type_traits>

#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/arithmetic_ops.h>

/// The structs of functions of two numbers (the plane, logarithms of sums), of logarithms and roots to other bases, of
/// rounding, and of what is not finite; <tapegrad/ops/op.h> explains the pattern. None of their rules overflows or
/// underflows where its result does not.
namespace tapegrad {

namespace op TAPEGRAD_API {
struct DirectionCosine;
struct CosineOverRoot;
struct ReciprocalReal;
}  // namespace TAPEGRAD_API

/// a / sqrt(a^2 + b^2), and 0 at (0, 0): the cosine of the angle between (a, b) and the first axis.
inline Tensor direction_cosine(const Tensor& a, const Tensor& b);
/// direction_cosine(a, b) / sqrt(hypot(a, b)).
inline Tensor cosine_over_root(const Tensor& a, const Tensor& b);
/// a / (a^2 + b^2): the real part of 1 / (a + ib).
inline Tensor reciprocal_real(const Tensor& a, const Tensor& b);

/// 0 at a point where x is 0, with a derivative that is NaN: for the one point where a function has none.
inline Tensor zero_without_slope(const Tensor& x, const Tensor& point) {
  return detail::zero_without_slope(where(point, 0 * x + 0, 0));
}

namespace op TAPEGRAD_API {  // the structs are part of the names of exported templates

// ---- the plane ----

struct Hypot {
  static constexpr auto name = "hypot";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  auto f(auto a, auto b) const { return hypot(a, b); }
  auto vjp0(auto g, auto a, auto b, auto) const { return slope(g, a, b); }
  auto vjp1(auto g, auto a, auto b, auto) const { return slope(g, b, a); }
  static void samples(auto& s) {
    s.binary(Hypot{}, {-2, 2}, {-2, 2}, {1e-4, -1e4});
    s.convention(Hypot{}, {{0, 0, -2}, {0, 2, 0}}, {{0, 0, -1}, {0, 1, 0}});
  }

 private:
  static auto slope(auto g, auto a, auto b) {
    auto r = g * direction_cosine(a, b);
    if constexpr (std::is_same_v<decltype(g), Tensor>)
      return detail::undefined_at(where(a == 0, b == 0, 0), g, r);
    else
      return r;
  }
};

/// With h = hypot(a, b): d/da = b^2 / h^3, d/db = -a b / h^3. Each of two factors over a root of h is in range.
struct DirectionCosine {
  static constexpr auto name = "direction_cosine";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  auto f(auto a, auto b) const { return direction_cosine(a, b); }
  auto vjp0(auto g, auto a, auto b, auto) const {
    auto s = cosine_over_root(b, a);
    return g * s * s;
  }
  auto vjp1(auto g, auto a, auto b, auto) const {
    return -g * cosine_over_root(a, b) * cosine_over_root(b, a);
  }
  static void samples(auto& s) { s.binary(DirectionCosine{}, {0.3, 2}, {-2, -0.3}, {1e-2, 10}); }
};

/// With h = hypot(a, b), and s and t the cosines of the angles with both axes over a root of h: d/da =
/// (t^2 - s^2 / 2) / sqrt(h), d/db = -3/2 s t / sqrt(h). Third derivatives of hypot, that are made of these, stay in
/// range on their way.
struct CosineOverRoot {
  static constexpr auto name = "cosine_over_root";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0 | kIn1 | kOut);
  auto f(auto a, auto b) const { return cosine_over_root(a, b); }
  auto vjp0(auto g, auto a, auto b, auto) const {
    auto s = cosine_over_root(a, b);
    auto t = cosine_over_root(b, a);
    return (g * t * t - 0.5 * g * s * s) / sqrt(hypot(a, b));
  }
  auto vjp1(auto g, auto a, auto b, auto y) const {
    return -1.5 * g * cosine_over_root(b, a) * y / sqrt(hypot(a, b));
  }
  static void samples(auto& s) { s.binary(CosineOverRoot{}, {0.3, 2}, {-2, -0.3}, {1e-2, 10}); }
};

struct Atan2 {  // of (y, x)
  static constexpr auto name = "atan2";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  auto f(auto y, auto x) const { return atan2(y, x); }
  auto vjp0(auto g, auto y, auto x, auto) const { return g * reciprocal_real(x, y); }
  auto vjp1(auto g, auto y, auto x, auto) const { return -g * reciprocal_real(y, x); }
  static void samples(auto& s) {
    s.binary(Atan2{}, {0.1, 2}, {-2, 2}, {1e-3, 1e3});
    s.binary(Atan2{}, {-2, -0.1}, {-2, 2});
  }
};

/// With h = hypot(a, b): d/da = (b - a) (b + a) / h^4, d/db = -2 a b / h^4.
struct ReciprocalReal {
  static constexpr auto name = "reciprocal_real";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  auto f(auto a, auto b) const { return reciprocal_real(a, b); }
  auto vjp0(auto g, auto a, auto b, auto) const {
    auto h = hypot(a, b);
    auto cos_a = direction_cosine(a, b), cos_b = direction_cosine(b, a);
    // Where both are alike by their difference, which is exact; else by their squares, in whose derivatives nothing
    // cancels.
    auto squares = cos_b * cos_b - cos_a * cos_a;
    // Of halves where b + a may be infinite, and only there, as a subnormal number has none.
    auto difference = where(h > 1, 0.5 * b - 0.5 * a, b - a);
    auto sum = where(h > 1, 0.5 * b + 0.5 * a, b + a);
    auto alike = where(h > 1, 4 * g, g) * (difference / h) * (sum / h);
    return where(abs(squares) > 0.5, g * squares, alike) / h / h;
  }
  auto vjp1(auto g, auto a, auto b, auto) const {
    auto h = hypot(a, b);
    return -2 * g * (direction_cosine(a, b) / h) * (direction_cosine(b, a) / h);
  }
  static void samples(auto& s) { s.binary(ReciprocalReal{}, {0.3, 2}, {-2, -0.3}, {1e-1, 10}); }
};

// ---- logarithms and exponentials ----

struct Xlogy {  // of (x, y)
  static constexpr auto name = "xlogy";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn1, kIn0 | kIn1);
  auto f(auto x, auto y) const { return where(x == 0, where(y == y, 0, y), x * log(y)); }
  auto vjp0(auto g, auto, auto y, auto) const { return g * log(y); }
  // At x = 0 the function is 0 for every y, but 1 / y is still the derivative of the slope for x.
  auto vjp1(auto g, auto x, auto y, auto) const {
    auto q = x / y;
    auto at_zero = y == 0;
    return g * where(x == 0, where(at_zero, zero_without_slope(x, at_zero), q), q);
  }
  static void samples(auto& s) {
    s.binary(Xlogy{}, {-2, 2}, {0.2, 3}, {1e-3, 1e3});
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    s.convention(Xlogy{}, {{0, 0, 0, 2}, {2, 0.5, 0, 0}},
                 {{0.69314718055994531, -0.69314718055994531, -kInfinity, -kInfinity}, {0, 0, 0, kInfinity}});
  }
};

struct LogAddExp {
  static constexpr auto name = "logaddexp";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1);
  /// a - b; 0 where both are the same infinity. For finite numbers it must not be a choice by a == b, which
  /// would take the second derivative of equal numbers away.
  static auto difference(auto a, auto b) {
    return where(abs(a) < std::numeric_limits<double>::infinity(), a - b, where(a == b, 0, a - b));
  }
  auto f(auto a, auto b) const { return maximum(a, b) + log1p(exp(-abs(difference(a, b)))); }
  auto vjp0(auto g, auto a, auto b, auto) const { return g * sigmoid(difference(a, b)); }
  auto vjp1(auto g, auto a, auto b, auto) const { return g * sigmoid(difference(b, a)); }
  static void samples(auto& s) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    s.binary(LogAddExp{}, {-3, 3}, {-3, 3}, {-30, 20});
    s.convention(LogAddExp{},
                 {{kInfinity, -kInfinity, kInfinity, -kInfinity}, {kInfinity, -kInfinity, 1, kInfinity}},
                 {{0.5, 0.5, 1, 0}, {0.5, 0.5, 0, 1}});
  }
};

struct Exp2 {
  static constexpr auto name = "exp2";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  static constexpr double kLn2 = 0.69314718055994531;
  auto f(auto x) const { return exp2(x); }
  auto vjp(auto g, auto, auto y) const { return g * (kLn2 * y); }
  static void samples(auto& s) { s.unary(Exp2{}, {-3, 3}, {-30, 30}); }
};

struct Log2 {
  static constexpr auto name = "log2";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr double kOneOverLn2 = 1.4426950408889634;
  auto f(auto x) const { return log2(x); }
  auto vjp(auto g, auto x, auto) const { return kOneOverLn2 * g / x; }
  static void samples(auto& s) { s.unary(Log2{}, {0.2, 3}, {1e-7, 1e7}); }
};

struct Log10 {
  static constexpr auto name = "log10";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr double kOneOverLn10 = 0.43429448190325183;
  auto f(auto x) const { return log10(x); }
  auto vjp(auto g, auto x, auto) const { return kOneOverLn10 * g / x; }
  static void samples(auto& s) { s.unary(Log10{}, {0.2, 3}, {1e-7, 1e7}); }
};

struct Cbrt {  // dy/dx = 1 / (3 y^2)
  static constexpr auto name = "cbrt";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return cbrt(x); }
  auto vjp(auto g, auto, auto y) const { return g / (3 * y * y); }
  static void samples(auto& s) {
    s.unary(Cbrt{}, {0.2, 3}, {1e-6, -1e6});
    s.unary(Cbrt{}, {-3, -0.2});
  }
};

// ---- rounding and remainders ----

struct Round {
  static constexpr auto name = "round";
  static constexpr std::size_t arity = 1;
  static constexpr std::uint8_t max_order = 0;
  auto f(auto x) const { return round(x); }
  static void samples(auto& s) { s.unary(Round{}, {-3, 3}); }
};

struct Fmod {  // y = a - b trunc(a / b)
  static constexpr auto name = "fmod";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kNone, kIn0 | kIn1 | kOut);
  static constexpr unsigned identity_grad = 0b01;
  static constexpr bool integers = true;
  static constexpr bool divides_integers = true;
  auto f(auto a, auto b) const { return fmod(a, b); }
  auto vjp0(auto g, auto, auto, auto) const { return g; }
  auto vjp1(auto g, auto a, auto b, auto y) const { return -g * round((a - y) / b); }
  static void samples(auto& s) {
    s.binary(Fmod{}, {-9, 9}, {1, 2});
    s.binary(Fmod{}, {-9, 9}, {-2, -1});
    s.convention(Fmod{}, {{6, -6}, {3, 3}}, {{1, 1}, {-2, 2}});
  }
};

struct Remainder {  // y = a - b floor(a / b)
  static constexpr auto name = "remainder";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kNone, kIn0 | kIn1 | kOut);
  static constexpr unsigned identity_grad = 0b01;
  static constexpr bool integers = true;
  static constexpr bool divides_integers = true;
  auto f(auto a, auto b) const { return remainder(a, b); }
  auto vjp0(auto g, auto, auto, auto) const { return g; }
  // The quotient that y was made with: a / b may have been rounded up to a whole number.
  auto vjp1(auto g, auto a, auto b, auto y) const { return -g * round((a - y) / b); }
  static void samples(auto& s) {
    s.binary(Remainder{}, {-9, 9}, {1, 2});
    s.binary(Remainder{}, {-9, 9}, {-2, -1});
    s.convention(Remainder{}, {{6, -6}, {3, 3}}, {{1, 1}, {-2, 2}});
  }
};

// ---- what is not finite ----

// x - x is 0 for every finite number, also for whole ones, which have no infinity to compare with.

struct IsFinite {
  static constexpr auto name = "isfinite";
  static constexpr std::size_t arity = 1;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto x) const { return x - x == 0; }
  static void samples(auto& s) { s.unary(IsFinite{}, {-2, 2}); }
};

struct IsInf {
  static constexpr auto name = "isinf";
  static constexpr std::size_t arity = 1;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto x) const { return where(x - x == 0, 0, number(x == x)); }
  static void samples(auto& s) { s.unary(IsInf{}, {-2, 2}); }
};

struct IsNan {
  static constexpr auto name = "isnan";
  static constexpr std::size_t arity = 1;
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool integers = true;
  auto f(auto x) const { return x != x; }
  static void samples(auto& s) { s.unary(IsNan{}, {-2, 2}); }
};

struct NanToNum {
  static constexpr auto name = "nan_to_num";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  double nan = 0;
  double posinf = 0;
  double neginf = 0;
  /// `largest`: the largest finite number of the dtype, which stands for an infinity that nothing is given for.
  static constexpr NanToNum of(double largest, double nan, std::optional<double> posinf,
                               std::optional<double> neginf) {
    return {.nan = nan, .posinf = posinf.value_or(largest), .neginf = neginf.value_or(-largest)};
  }
  void describe(AttributeVisitor& v) const { v("nan", nan), v("posinf", posinf), v("neginf", neginf); }
  auto f(auto x) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    auto below = where(x == kInfinity, posinf, x);
    return where(x == x, where(x == -kInfinity, neginf, below), nan);
  }
  static constexpr bool selects = true;
  auto vjp(auto g, auto x, auto) const { return where(x - x == 0, g, detail::kNothing); }
  static void samples(auto& s) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    s.unary(NanToNum{.nan = 0.5, .posinf = 3, .neginf = -3}, {-2, 2});
    s.add(NanToNum{.nan = 0, .posinf = 1e30, .neginf = -1e30}, {Shape{3}});
    s.convention(NanToNum{.nan = 0.5, .posinf = 3, .neginf = -3},
                 {{std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity}}, {{0, 0, 0}});
  }
};

}  // namespace TAPEGRAD_API

inline Tensor direction_cosine(const Tensor& a, const Tensor& b) {
  return apply_op(op::DirectionCosine{}, a, b);
}
inline Tensor cosine_over_root(const Tensor& a, const Tensor& b) {
  return apply_op(op::CosineOverRoot{}, a, b);
}
inline Tensor reciprocal_real(const Tensor& a, const Tensor& b) {
  return apply_op(op::ReciprocalReal{}, a, b);
}

}  // namespace tapegrad
