#pragma once

#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/samples.h>

/// The structs behind <tapegrad/ops/elementwise/activation.h>; <tapegrad/ops/op.h> explains the pattern.
namespace tapegrad TAPEGRAD_API {  // the structs are part of the names of exported templates

struct Relu {  // y = max(x, 0)
  static constexpr auto name = "relu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return maximum(x, 0); }
  auto vjp(auto g, auto, auto y) const { return where(y > 0, g, 0); }
  static void samples(Samples& s) {
    s.unary(Relu{}, {-2, 2, {0}});
    s.convention(Relu{}, {{0}}, {{0}});
  }
};

struct LeakyRelu {
  static constexpr auto name = "leaky_relu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  double slope = 0.01;
  auto f(auto x) const { return where(x > 0, x, slope * x); }
  auto vjp(auto g, auto x, auto) const { return where(x > 0, g, slope * g); }
  static void samples(Samples& s) {
    s.unary(LeakyRelu{.slope = 0.1}, {-2, 2, {0}});
    s.convention(LeakyRelu{.slope = 0.1}, {{0}}, {{0.1}});
  }
};

struct Elu {
  static constexpr auto name = "elu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0 | kOut);
  double alpha = 1;
  auto f(auto x) const { return where(x > 0, x, alpha * expm1(x)); }
  auto vjp(auto g, auto x, auto y) const { return where(x > 0, g, g * (y + alpha)); }
  static void samples(Samples& s) {
    s.unary(Elu{.alpha = 0.7}, {-3, 3, {0}});
    s.convention(Elu{.alpha = 0.7}, {{0}}, {{0.7}});
  }
};

struct Sigmoid {  // dy/dx = y (1 - y)
  static constexpr auto name = "sigmoid";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return sigmoid(x); }
  auto vjp(auto g, auto, auto y) const { return g * y * (1 - y); }
  static void samples(Samples& s) { s.unary(Sigmoid{}, {-4, 4}, {-30}); }
};

struct Tanh {  // dy/dx = 1 - y^2
  static constexpr auto name = "tanh";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kOut);
  auto f(auto x) const { return tanh(x); }
  auto vjp(auto g, auto, auto y) const { return g * (1 - y * y); }
  static void samples(Samples& s) { s.unary(Tanh{}, {-3, 3}); }
};

struct Softplus {  // dy/dx = sigmoid(x)
  static constexpr auto name = "softplus";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return maximum(x, 0) + log1p(exp(-abs(x))); }
  // The op and not its formula: where e^-x overflows, the formula's own derivative is not a number.
  auto vjp(auto g, auto x, auto) const { return g * sigmoid(x); }
  static void samples(Samples& s) { s.unary(Softplus{}, {-3, 3}, {-40, 40}); }
};

inline constexpr double kOneOverSqrt2 = 0.70710678118654752;
inline constexpr double kOneOverSqrt2Pi = 0.39894228040143268;

/// Through erfc, which keeps its digits in the left tail, where 1 + erf cancels.
inline Tensor normal_cdf(const Tensor& x) { return 0.5 * erfc(-kOneOverSqrt2 * x); }

struct Gelu {  // dy/dx = Phi(x) + x phi(x)
  static constexpr auto name = "gelu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return x * normal_cdf(x); }
  auto vjp(auto g, auto x, auto) const {
    return g * (normal_cdf(x) + kOneOverSqrt2Pi * x * exp(-0.5 * x * x));
  }
  static void samples(Samples& s) { s.unary(Gelu{}, {-3, 3}, {-5, 8}); }
};

struct Silu {  // with s = sigmoid(x): dy/dx = s (1 + x (1 - s))
  static constexpr auto name = "silu";
  static constexpr std::size_t arity = 1;
  static constexpr auto saves = saves_for(kIn0);
  auto f(auto x) const { return x * sigmoid(x); }
  auto vjp(auto g, auto x, auto) const {
    auto s = sigmoid(x);
    return g * s * (1 + x * (1 - s));
  }
  static void samples(Samples& s) { s.unary(Silu{}, {-4, 4}, {-30}); }
};

struct Step {
  static constexpr auto name = "step";
  static constexpr std::size_t arity = 1;
  static constexpr std::uint8_t max_order = 0;
  auto f(auto x) const { return x > 0; }
  static void samples(Samples& s) { s.unary(Step{}, {-2, 2, {0}}); }
};

}  // namespace TAPEGRAD_API
