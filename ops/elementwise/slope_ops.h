#pragma once

#include <limits>

#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/arithmetic_ops.h>

/// The structs of derivatives that are operations of their own. Rules are written in them where the obvious formula
/// loses its digits (1 - y where y rounds to 1) or leaves the range (x^2), and so would all derivatives of it.
namespace tapegrad {

// Formulas find them by their argument, but for a Tensor, whose namespace is this one.
using detail::is_nothing;
using detail::undefined;
using detail::undefined_where;

namespace op TAPEGRAD_API {  // the structs are part of the names of exported templates

struct SigmoidSlope {  // y = s(x) s(-x) with the sigmoid s; dy/dx = -y tanh(x / 2)
  static constexpr auto name = "sigmoid_slope";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const { return sigmoid_slope(x); }
  auto vjp(auto g, auto x, auto y) const { return -(g * y) * tanh(0.5 * x); }
  static void samples(auto& s) { s.unary(SigmoidSlope{}, {-4, 4}, {-30, 30}); }
};

struct TanhSlope {  // y = 1 / cosh(x)^2; dy/dx = -2 y tanh(x)
  static constexpr auto name = "tanh_slope";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const { return tanh_slope(x); }
  auto vjp(auto g, auto x, auto y) const { return -2 * (g * y) * tanh(x); }
  static void samples(auto& s) { s.unary(TanhSlope{}, {-3, 3}, {-15, 15}); }
};

struct AsinSlope {  // y = 1 / sqrt(1 - x^2); dy/dx = x y^3
  static constexpr auto name = "asin_slope";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const { return asin_slope(x); }
  auto vjp(auto g, auto x, auto y) const { return g * x * y * y * y; }
  static void samples(auto& s) { s.unary(AsinSlope{}, {-0.9, 0.9}, {1e-3}); }
};

struct AtanSlope {  // y = 1 / (1 + x^2); dy/dx = -2 x y^2
  static constexpr auto name = "atan_slope";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  auto f(auto x) const { return atan_slope(x); }
  // In this order, as y^2 may be 0 where x y^2 is not; x y vanishes at infinity.
  auto vjp(auto g, auto x, auto y) const { return -2 * g * vanishing_product(y, x) * y; }
  static void samples(auto& s) { s.unary(AtanSlope{}, {-3, 3}, {1e4}); }
};

struct Gaussian {  // y = e^(-c x^2); dy/dx = -2 c x y
  static constexpr auto name = "gaussian";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  double c = 1;
  void describe(AttributeVisitor& v) const { v("c", c); }
  auto f(auto x) const { return gaussian(x, c); }
  auto vjp(auto g, auto x, auto y) const { return -2 * c * g * vanishing_product(y, x); }
  static void samples(auto& s) {
    s.unary(Gaussian{.c = 0.5}, {-3, 3}, {-8, 8});
    s.add(Gaussian{.c = 2}, {Shape{3}});
  }
};

/// y = s(x) - t with the sigmoid s, for t in [0, 1]: that of the binary cross entropy. Taken as (1 - t) s(x) - t s(-x),
/// without the difference that loses all digits of a confident right prediction; dy/dx = s(x) s(-x), dy/dt = -1.
struct LogitResidual {
  static constexpr auto name = "logit_residual";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0, kNone);
  auto f(auto x, auto t) const {
    const auto e = exp(-abs(x));  // both sigmoids from one exponential
    return where(x > 0, (1 - t) - t * e, (1 - t) * e - t) / (1 + e);
  }
  auto vjp0(auto g, auto x, auto, auto) const { return g * sigmoid_slope(x); }
  auto vjp1(auto g, auto, auto, auto) const { return -g; }
  static void samples(auto& s) {
    s.binary(LogitResidual{}, {-3, 3}, {0.05, 0.95});
    s.add(LogitResidual{}, {s.given({-30, -15, 0, 15, 30}), s.given({0, 1, 0.5, 0, 1})}, "large logits");
  }
};

/// NaN where the mask is not 0, and so is each derivative; of nothing, nothing. Else x.
struct UndefinedWhere {
  static constexpr auto name = "undefined_where";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn1, kNone);
  auto f(auto x, auto m) const { return undefined_where(x, m); }
  static constexpr bool selects = true;
  auto vjp0(auto g, auto, auto m, auto) const { return undefined_where(g, m); }
  auto vjp1(auto g, auto, auto, auto) const { return detail::nothing_of(g); }
  static constexpr unsigned nondifferentiable_inputs = 0b10;
  static void samples(auto& s) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    s.elementwise(UndefinedWhere{}, {{-2, 2}, {.only = {0}}});
    s.convention(UndefinedWhere{}, {{1.5, 0, -0.0, 2}, {1, 1, 1, 0}}, {{kNaN, kNaN, kNaN, 1}, {0, 0, 0, 0}});
  }
};

/// What a rule contributes that has made r of the incoming gradient g; see <tapegrad/ops/contribution.h>. Where g is 0,
/// and not nothing, and r is not finite, the derivative for g does not exist: it is NaN whatever the gradient h of this
/// is, so that a smooth function that passes through such a point never gets a plausible 0 as its second derivative. So
/// are all further derivatives.
struct Contribution {
  static constexpr auto name = "contribution";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0 | kIn1);
  auto f(auto g, auto r) const {
    auto smooth = r + 0;  // -0 + 0 is 0
    return where(g != 0, smooth, where(r - r == 0, where(is_nothing(g), g, smooth), g));
  }
  static constexpr bool selects = true;
  auto vjp0(auto h, auto g, auto r, auto) const {
    auto of_zero = where(r - r == 0, detail::kNothing, where(is_nothing(g), detail::kNothing, undefined(h)));
    return where(g == 0, of_zero, detail::kNothing);
  }
  auto vjp1(auto h, auto g, auto r, auto) const {
    auto of_zero = where(r - r == 0, where(is_nothing(g), detail::kNothing, h), detail::kNothing);
    return where(g == 0, of_zero, h);
  }
  static constexpr unsigned nondifferentiable_inputs = 0b001;  // 0 or NaN
  static void samples(auto& s) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    s.binary(Contribution{}, {-2, 2, {0}}, {-2, 2});
    s.convention(Contribution{}, {{0, 0, 1.5, 0, -0.0, -0.0}, {kInf, 2, kInf, kNaN, kInf, 2}},
                 {{kNaN, 0, 0, kNaN, 0, 0}, {0, 1, 1, 0, 0, 0}});
  }
};

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
