#include <cmath>
#include <limits>
#include <numbers>

#include <tapegrad/nn/io/onnx/composites.h>
#include <tapegrad/ops/elementwise/activation_ops.h>

namespace tapegrad::nn::onnx {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Term abs(const Term& x) { return f("Abs", {x}); }
Term exp(const Term& x) { return f("Exp", {x}); }
Term maximum(const Term& a, const Term& b) { return f("Max", {a, b}); }
Term minimum(const Term& a, const Term& b) { return f("Min", {a, b}); }
Term either(const Term& a, const Term& b) { return f("Or", {a, b}); }
Term both(const Term& a, const Term& b) { return f("And", {a, b}); }
Term negated(const Term& a) { return f("Not", {a}); }

/// Attributes of ONNX are of single precision: of doubles a formula takes the place of the operator that has some.
bool has_operator(const Term& x) { return x.type == ElementType::f32; }

Attribute real(const char* name, double value) { return {name, static_cast<float>(value)}; }

/// `positive` times the positive part of x, and `negative` times e^x - 1 below 0.
Term exponential_unit(const Term& x, double positive, double negative) {
  const Term zero = number(x, 0);
  return positive * maximum(x, zero) + negative * (exp(minimum(x, zero)) - 1);
}

}  // namespace

Term hypotenuse(const Term& a, const Term& b) {
  const Term longer = maximum(abs(a), abs(b));
  const Term shorter = minimum(abs(a), abs(b));
  const Term ratio = shorter / where(longer == 0, 1, longer);
  return longer * f("Sqrt", {1 + ratio * ratio});
}

Term emit_hypot(OpContext& c) { return hypotenuse(c.input(0), c.input(1)); }

Term emit_atan2(OpContext& c) {
  const Term y = c.input(0), x = c.input(1);
  constexpr double kPi = std::numbers::pi;
  const Term turned = where(y < 0, -kPi, number(y, kPi));
  const Term zero = number(y, 0);
  const Term beside = f("Atan", {y / where(x == 0, 1, x)}) + where(x < 0, turned, zero);
  return where(x == 0, f("Sign", {y}) * (kPi / 2), beside);
}

Term emit_remainder(OpContext& c) {
  const Term a = c.input(0), b = c.input(1);
  if (a.type == ElementType::i64) return f("Mod", {a, b});
  const Term r = f("Mod", {a, b}, {{"fmod", std::int64_t{1}}});
  // The sign is that of b.
  const Term differs = both(negated(r == 0), f("Xor", {r < 0, b < 0}));
  return where(differs, r + b, r);
}

Term emit_clamp(OpContext& c) {
  const Term x = c.input(0);
  const auto bound = [&](const char* name) {
    const double value = c.number(name);
    return std::isinf(value) ? Term{} : number(x, value);
  };
  return f("Clip", {x, bound("lo"), bound("hi")});
}

Term emit_nan_to_num(OpContext& c) {
  const Term x = c.input(0);
  const Term below = where(x == number(x, kInfinity), c.number("posinf"), x);
  const Term finite = where(x == number(x, -kInfinity), c.number("neginf"), below);
  return where(f_of_type("IsNaN", ElementType::boolean, {x}), c.number("nan"), finite);
}

Term emit_is_finite(OpContext& c) {
  const Term x = c.input(0);
  if (x.type == ElementType::i64) return cast(x == x, x.type);
  const auto is = [&](const char* type) { return f_of_type(type, ElementType::boolean, {x}); };
  return cast(negated(either(is("IsInf"), is("IsNaN"))), x.type);
}

Term emit_is_inf(OpContext& c) {
  const Term x = c.input(0);
  if (x.type == ElementType::i64) return cast(negated(x == x), x.type);
  return cast(f_of_type("IsInf", ElementType::boolean, {x}), x.type);
}

Term emit_leaky_relu(OpContext& c) {
  const Term x = c.input(0);
  const double slope = c.number("slope");
  if (has_operator(x)) return f("LeakyRelu", {x}, {real("alpha", slope)});
  return where(x > 0, x, slope * x);
}

Term emit_elu(OpContext& c) {
  const Term x = c.input(0);
  const double alpha = c.number("alpha");
  return has_operator(x) ? f("Elu", {x}, {real("alpha", alpha)}) : exponential_unit(x, 1, alpha);
}

Term emit_selu(OpContext& c) {
  const Term x = c.input(0);
  constexpr double kGamma = op::Selu::kLambda, kAlphaGamma = op::Selu::kLambdaAlpha;
  if (!has_operator(x)) return exponential_unit(x, kGamma, kAlphaGamma);
  return f("Selu", {x}, {real("alpha", kAlphaGamma / kGamma), real("gamma", kGamma)});
}

Term emit_hardsigmoid(OpContext& c) {
  const Term x = c.input(0);
  if (has_operator(x)) return f("HardSigmoid", {x}, {real("alpha", 1. / 6), real("beta", 0.5)});
  return f("Clip", {x / 6 + 0.5, number(x, 0), number(x, 1)});
}

Term emit_hardswish(OpContext& c) { return c.input(0) * emit_hardsigmoid(c); }

Term emit_prelu(OpContext& c) {
  const Term x = c.input(0), slope = c.input(1);
  // The operator's slope broadcasts to x, not the other way.
  if (c.output_dims() == c.dims(0)) return f("PRelu", {x, slope});
  return where(x > 0, x, slope * x);
}

Term emit_softplus(OpContext& c) {
  const double beta = c.number("beta");
  if (beta == 1) return f("Softplus", {c.input(0)});
  return f("Softplus", {c.input(0) * beta}) / beta;
}

Term emit_gelu_tanh(OpContext& c) {
  const Term x = c.input(0);
  return x * f("Sigmoid", {x * (op::GeluTanh::kA + op::GeluTanh::kB * (x * x))});
}

Term emit_power_log(OpContext& c) {
  const Term a = c.input(0), b = c.input(1);
  const Term power = f("Pow", {a, b}) * f("Pow", {f("Log", {a}), number(a, c.number("n"))});
  // Any power of the logarithm is infinite at 0, and grows slower than a positive power of a falls.
  return where(both(a == 0, b > 0), 0, power);
}

}  // namespace tapegrad::nn::onnx
