#pragma once

#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math_ops.h>

/// The structs of activations; <tapegrad/ops/op.h> explains the pattern. A new one is a struct here and a row in
/// rows.h, which makes of it the function, the overloads inside `map`, the layer, its name and its entry in the
/// checker's catalogue.
namespace tapegrad {

namespace detail {
inline constexpr double kOneOverSqrt2 = 0.70710678118654752;
inline constexpr double kOneOverSqrt2Pi = 0.39894228040143268;
}  // namespace detail

// Not in detail: formulas find these by their argument, as they find those of a Real or a Dual.

/// Through erfc, which keeps its digits in the left tail, where 1 + erf cancels.
inline Tensor normal_cdf(const Tensor& x) { return 0.5 * erfc(-detail::kOneOverSqrt2 * x); }
/// 1 / (1 + e^-(a x + b x^3)), in double, as the rounding of the argument would be magnified in the tail.
inline Tensor sigmoid_of_cubic(const Tensor& x, double a, double b) {
  const Tensor wide = cast(x, f64);
  return cast(sigmoid(wide * (a + b * square(wide))), x.dtype());
}

namespace op TAPEGRAD_API {  // the structs are part of the names of exported templates

struct Relu {  // y = max(x, 0)
  static constexpr auto name = "relu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return maximum(x, 0); }
  static constexpr bool selects = true;
  auto vjp(auto g, auto, auto y) const { return where(y > 0, g, detail::kNothing); }
  static void samples(auto& s) {
    s.unary(Relu{}, {-2, 2, {0}});
    s.convention(Relu{}, {{0}}, {{0}});
  }
};

struct LeakyRelu {
  static constexpr auto name = "leaky_relu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  double slope = 0.01;
  void describe(AttributeVisitor& v) const { v("slope", slope); }
  auto f(auto x) const { return where(x > 0, x, slope * x); }
  auto vjp(auto g, auto x, auto) const { return where(x > 0, g, slope * g); }
  static void samples(auto& s) {
    s.unary(LeakyRelu{.slope = 0.1}, {-2, 2, {0}});
    s.add(LeakyRelu{.slope = 0.75}, {{Shape{7}, {-2, 2, {0}}}});
    s.convention(LeakyRelu{.slope = 0.1}, {{0}}, {{0.1}});
  }
};

struct Elu {
  static constexpr auto name = "elu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  double alpha = 1;
  void describe(AttributeVisitor& v) const { v("alpha", alpha); }
  auto f(auto x) const { return where(x > 0, x, alpha * expm1(x)); }
  auto vjp(auto g, auto x, auto) const { return where(x > 0, g, alpha * g * exp(x)); }
  static void samples(auto& s) {
    s.unary(Elu{.alpha = 0.7}, {-3, 3, {0}}, {-40, 40});
    s.add(Elu{.alpha = 1.5}, {{Shape{7}, {-3, 3, {0}}}});
    s.convention(Elu{.alpha = 0.7}, {{0}}, {{0.7}});
  }
};

struct Sigmoid {  // dy/dx = s(x) s(-x); y (1 - y) has no digits left where y is near 1
  static constexpr auto name = "sigmoid";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return sigmoid(x); }
  auto vjp(auto g, auto x, auto) const { return g * sigmoid_slope(x); }
  static void samples(auto& s) { s.unary(Sigmoid{}, {-4, 4}, {-30, 12}); }
};

struct Tanh {  // dy/dx = 1 / cosh(x)^2; 1 - y^2 has no digits left where y is near 1
  static constexpr auto name = "tanh";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return tanh(x); }
  auto vjp(auto g, auto x, auto) const { return g * tanh_slope(x); }
  static void samples(auto& s) { s.unary(Tanh{}, {-3, 3}, {-6, 6}); }
};

struct Softplus {  // dy/dx = sigmoid(beta x)
  static constexpr auto name = "softplus";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  double beta = 1;
  void describe(AttributeVisitor& v) const { v("beta", beta); }
  auto f(auto x) const { return maximum(x, 0) + log1p(exp(-abs(beta * x))) * (1 / beta); }
  // The op and not its formula: where e^-x overflows, the formula's own derivative is not a number.
  auto vjp(auto g, auto x, auto) const { return g * sigmoid(beta * x); }
  static void samples(auto& s) {
    s.unary(Softplus{}, {-3, 3}, {-40, 40});
    s.unary(Softplus{.beta = 2.5}, {-3, 3});
  }
};

struct Gelu {  // dy/dx = Phi(x) + x phi(x)
  static constexpr auto name = "gelu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return vanishing_product(normal_cdf(x), x); }
  auto vjp(auto g, auto x, auto) const {
    return g * (normal_cdf(x) + detail::kOneOverSqrt2Pi * vanishing_product(gaussian(x, 0.5), x));
  }
  static void samples(auto& s) { s.unary(Gelu{}, {-3, 3}, {-5, 8}); }
};

/// (1 + tanh(u)) / 2 = sigmoid(2 u), which keeps its digits in the left tail: y = x s with s = sigmoid(a x + b x^3),
/// dy/dx = s (1 + x (1 - s) (a + 3 b x^2)), and 1 - s = sigmoid(-a x - b x^3).
struct GeluTanh {
  static constexpr auto name = "gelu_tanh";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr double kA = 1.5957691216057308;    // 2 sqrt(2 / pi)
  static constexpr double kB = 0.071354816272600251;  // 0.044715 a
  /// Where s is 0 or 1 to the last digit, x is limited, so that its powers do not overflow.
  static auto limited(auto x) { return minimum(maximum(x, -30), 30); }
  auto f(auto x) const { return vanishing_product(sigmoid_of_cubic(limited(x), kA, kB), x); }
  auto vjp(auto g, auto x, auto) const {
    auto z = limited(x);
    auto slope = kA + 3 * kB * (z * z);
    return g * sigmoid_of_cubic(z, kA, kB) * (1 + z * sigmoid_of_cubic(z, -kA, -kB) * slope);
  }
  static void samples(auto& s) { s.unary(GeluTanh{}, {-3, 3}, {-5, 8, 40}); }
};

struct Silu {  // with s = sigmoid(x): dy/dx = s + x s'
  static constexpr auto name = "silu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return vanishing_product(sigmoid(x), x); }
  auto vjp(auto g, auto x, auto) const { return g * (sigmoid(x) + vanishing_product(sigmoid_slope(x), x)); }
  static void samples(auto& s) { s.unary(Silu{}, {-4, 4}, {-30, 30}); }
};

struct LogSigmoid {  // y = -ln(1 + e^-x), dy/dx = sigmoid(-x)
  static constexpr auto name = "log_sigmoid";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return minimum(x, 0) - log1p(exp(-abs(x))); }
  auto vjp(auto g, auto x, auto) const { return g * sigmoid(-x); }
  static void samples(auto& s) { s.unary(LogSigmoid{}, {-3, 3}, {-40, 40}); }
};

/// y = x tanh(p) with p = softplus(x); dy/dx = tanh(p) + x sigmoid(x) / cosh(p)^2
struct Mish {
  static constexpr auto name = "mish";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return vanishing_product(tanh(softplus(x)), x); }
  auto vjp(auto g, auto x, auto) const {
    auto p = softplus(x);
    return g * (tanh(p) + vanishing_product(sigmoid(x) * tanh_slope(p), x));
  }
  static void samples(auto& s) { s.unary(Mish{}, {-4, 4}, {-30, 30}); }
};

struct Relu6 {  // y = min(max(x, 0), 6)
  static constexpr auto name = "relu6";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return minimum(maximum(x, 0), 6); }
  static constexpr bool selects = true;
  auto vjp(auto g, auto, auto y) const {
    return where(y > 0, where(y < 6, g, detail::kNothing), detail::kNothing);
  }
  static void samples(auto& s) {
    s.unary(Relu6{}, {-2, 8, {0, 6}});
    s.convention(Relu6{}, {{0, 6}}, {{0, 0}});
  }
};

struct Hardsigmoid {  // y = min(max(x / 6 + 1/2, 0), 1)
  static constexpr auto name = "hardsigmoid";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return minimum(maximum(x + 3, 0), 6) / 6; }
  static constexpr bool selects = true;
  auto vjp(auto g, auto x, auto) const {
    return where(x > -3, where(x < 3, g / 6, detail::kNothing), detail::kNothing);
  }
  static void samples(auto& s) {
    s.unary(Hardsigmoid{}, {-5, 5, {-3, 3}});
    s.convention(Hardsigmoid{}, {{-3, 3}}, {{0, 0}});
  }
};

struct Hardswish {  // y = x hardsigmoid(x); between -3 and 3: dy/dx = x / 3 + 1/2
  static constexpr auto name = "hardswish";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return vanishing_product(minimum(maximum(x + 3, 0), 6) / 6, x); }
  auto vjp(auto g, auto x, auto) const { return where(x > -3, where(x < 3, g * (x / 3 + 0.5), g), 0); }
  static void samples(auto& s) {
    s.unary(Hardswish{}, {-5, 5, {-3, 3}});
    s.convention(Hardswish{}, {{-3, 3}}, {{0, 1}});
  }
};

/// y = lambda x where x > 0, else lambda alpha (e^x - 1). Klambauer, Unterthiner, Mayr, Hochreiter:
/// Self-Normalizing Neural Networks, NIPS 2017.
struct Selu {
  static constexpr auto name = "selu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  static constexpr double kLambda = 1.0507009873554804934;
  static constexpr double kLambdaAlpha = 1.0507009873554804934 * 1.6732632423543772848;
  auto f(auto x) const { return where(x > 0, kLambda * x, kLambdaAlpha * expm1(x)); }
  auto vjp(auto g, auto x, auto) const { return where(x > 0, kLambda * g, kLambdaAlpha * g * exp(x)); }
  static void samples(auto& s) {
    s.unary(Selu{}, {-3, 3, {0}}, {-40, 40});
    s.convention(Selu{}, {{0}}, {{kLambdaAlpha}});
  }
};

struct Softsign {  // y = x / (1 + |x|), dy/dx = 1 / (1 + |x|)^2
  static constexpr auto name = "softsign";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  // At infinity x / (1 + |x|) is NaN.
  auto f(auto x) const { return where(abs(x) > 1e30, sign(x), x / (1 + abs(x))); }
  auto vjp(auto g, auto x, auto) const {
    auto d = 1 + abs(x);
    return g / d / d;
  }
  static void samples(auto& s) {
    s.unary(Softsign{}, {-4, 4, {0}}, {1e4, -1e4});
    s.convention(Softsign{}, {{0}}, {{1}});
  }
};

/// y = x where x > 0, else slope x, with a slope that is learnt and broadcasts against x. He, Zhang, Ren, Sun:
/// Delving Deep into Rectifiers, ICCV 2015.
struct Prelu {
  static constexpr auto name = "prelu";
  static constexpr std::size_t arity = 2;
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0);
  auto f(auto x, auto slope) const { return where(x > 0, x, slope * x); }
  auto vjp0(auto g, auto x, auto slope, auto) const { return where(x > 0, g, slope * g); }
  auto vjp1(auto g, auto x, auto, auto) const { return where(x > 0, 0, g * x); }
  static void samples(auto& s) {
    s.binary(Prelu{}, {-2, 2, {0}}, {0.05, 0.5});
    s.convention(Prelu{}, {{0, 0}, {0.25, 0.5}}, {{0.25, 0.5}, {0, 0}});
  }
};

struct Step {
  static constexpr auto name = "step";
  static constexpr std::size_t arity = 1;
  static constexpr std::uint8_t max_order = 0;
  auto f(auto x) const { return x > 0; }
  static void samples(auto& s) { s.unary(Step{}, {-2, 2, {0}}); }
};

}  // namespace TAPEGRAD_API
}  // namespace tapegrad
