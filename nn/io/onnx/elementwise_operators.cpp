#include <limits>

#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/onnx/node_call.h>
#include <tapegrad/nn/io/onnx/read_tensor.h>
#include <tapegrad/ops/ops.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

using Run = std::function<std::vector<Tensor>(const NodeCall&)>;

Run unary(Tensor (*f)(const Tensor&)) {
  return [=](const NodeCall& c) { return std::vector{f(c.in(0))}; };
}
Run binary(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [=](const NodeCall& c) { return std::vector{f(c.in(0), c.in(1))}; };
}
/// A function of two that is applied to any number of inputs.
Run variadic(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [=](const NodeCall& c) {
    Tensor y = c.in(0);
    for (std::size_t i = 1; i < c.count(); ++i) y = f(y, c.in(i));
    return std::vector{y};
  };
}
Tensor as_boolean(const Tensor& mask) { return cast(mask, i64); }
Run comparison(Tensor (*f)(const Tensor&, const Tensor&)) {
  return [=](const NodeCall& c) { return std::vector{as_boolean(f(c.in(0), c.in(1)))}; };
}
/// A function of x and attributes.
template <class F>
Run with(F f) {
  return [=](const NodeCall& c) { return std::vector<Tensor>{f(c.in(0), c)}; };
}

Tensor clip(const Tensor& x, const NodeCall& c) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double low = c.number_in(1, -kInfinity), high = c.number_in(2, kInfinity);
  Tensor y = x;
  if (low > -kInfinity) y = maximum(y, low);
  return high < kInfinity ? minimum(y, high) : y;
}

/// f of all pairs of integers.
template <class F>
Tensor of_integers(const NodeCall& c, F f) {
  const Tensor &a = c.in(0), &b = c.in(1);
  const Shape shape = broadcast(a.shape(), b.shape(), c.node().type);
  std::vector<std::int64_t> results = broadcast_to(a, shape).to_vector<std::int64_t>();
  const std::vector<std::int64_t> others = broadcast_to(b, shape).to_vector<std::int64_t>();
  for (std::size_t i = 0; i < results.size(); ++i) results[i] = f(results[i], others[i]);
  return reshape(Tensor::from(results), shape);
}

/// Of integers, such as sizes: towards zero, as in C. The library's div takes floating tensors alone.
Tensor quotient(const Tensor& x, const NodeCall& c) {
  if (x.dtype() != i64 || c.in(1).dtype() != i64) return div(x, c.in(1));
  return of_integers(c, [&](std::int64_t a, std::int64_t b) {
    if (b == 0) c.fail(fmt::format("divides {} by 0", a));
    if (b != -1) return a / b;
    if (__builtin_sub_overflow(std::int64_t{0}, a, &a)) c.fail("has a quotient above the largest integer");
    return a;
  });
}

/// Exact. Of a negative exponent the power is a fraction, which is rounded towards zero.
std::int64_t integer_power(const NodeCall& c, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0)
      c.fail(fmt::format("computes 0 to the power {}, which is infinite; integers have no such value",
                         exponent));
    if (base != 1 && base != -1) return 0;
    return exponent % 2 == 0 ? 1 : base;
  }
  std::int64_t result = 1, square = base;
  bool overflows = false;
  for (std::int64_t left = exponent; left > 0 && !overflows; left /= 2) {
    if (left % 2 == 1) overflows = __builtin_mul_overflow(result, square, &result);
    if (left > 1) overflows |= __builtin_mul_overflow(square, square, &square);
  }
  if (overflows)
    c.fail(
        fmt::format("computes {} to the power {}, which is no integer of 64 bits; cast its inputs to floats",
                    base, exponent));
  return result;
}

/// Floating values as the integers that are next towards zero.
Tensor truncated(const Tensor& x, const NodeCall& c) {
  constexpr double kBeyond = 0x1p63;
  visit_floating(x.dtype(), [&]<class T>() {
    for (const double value : elements_of<T>(x))  // see outside_of
      if (!(value >= -kBeyond && value < kBeyond))
        c.fail(fmt::format(
            "makes an integer of {}, which no integer of 64 bits is; clip what comes before it", value));
  });
  return cast(x, i64);
}

Tensor power(const Tensor& x, const NodeCall& c) {
  const Tensor& exponent = c.in(1);
  if (x.dtype() == i64) {
    if (exponent.dtype() != i64) return truncated(pow(cast(x, f64), cast(exponent, f64)), c);
    return of_integers(c, [&](std::int64_t a, std::int64_t b) { return integer_power(c, a, b); });
  }
  if (exponent.size() == 1 && exponent.rank() == 0 && !exponent.tracked()) return pow(x, exponent.item());
  return pow(x, cast(exponent, x.dtype()));
}

Tensor modulo(const Tensor& x, const NodeCall& c) {
  return c.integer("fmod", 0) ? fmod(x, c.in(1)) : remainder(x, c.in(1));
}

Tensor hard_sigmoid(const Tensor& x, const NodeCall& c) {
  return clamp(c.number("alpha", 0.2) * x + c.number("beta", 0.5), 0, 1);
}

Tensor selu_of(const Tensor& x, const NodeCall& c) {
  const double gamma = c.number("gamma", 1.0507009873554805);
  return gamma * elu(x, c.number("alpha", 1.6732632423543772));
}

/// In training it draws random numbers; a model that was read has none.
Tensor dropped_out(const Tensor& x, const NodeCall& c) {
  if (c.number_in(2, 0) != 0 && c.number_in(1, 0.5) != 0)
    c.fail("is in training mode; export the model for inference");
  return x;
}

/// To the types that hold those of initializers and inputs: 16-bit floats are f32, integers i64, of which those that
/// the narrower type does not have are refused, as they are of inputs.
Tensor cast_to(const Tensor& x, const NodeCall& c) {
  const files::Element element = *element_of_number(c.integer("to", 0));
  if (element == files::Element::boolean) return as_boolean(not_equal(x, 0));
  const Dtype dtype = files::widened_dtype(element);
  if (dtype != i64) return cast(x, dtype);
  const Tensor y = is_floating(x.dtype()) ? truncated(x, c) : x;
  if (const auto outside = outside_of(element, y))
    c.fail(fmt::format("casts {}; integers do not wrap here", *outside));
  return y;
}

void check_cast(const NodeCall& c) {
  const std::int64_t to = c.integer("to", 0);
  if (!element_of_number(to)) c.fail(fmt::format("casts to the type {}, which is not known here", to));
}

}  // namespace

std::vector<OperatorRow> elementwise_operators() {
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  std::vector<OperatorRow> rows{
      {"Add", 2, 2, binary(add)},
      {"Sub", 2, 2, binary(sub)},
      {"Mul", 2, 2, binary(mul)},
      {"Div", 2, 2, with(quotient)},
      {"Pow", 2, 2, with(power)},
      {"Max", 1, kAny, variadic(maximum)},
      {"Min", 1, kAny, variadic(minimum)},
      {"Sum", 1, kAny, variadic(add)},
      {"Mod", 2, 2, with(modulo), {"fmod"}},
      {"Equal", 2, 2, comparison(equal)},
      {"Less", 2, 2, comparison(less)},
      {"LessOrEqual", 2, 2, comparison(less_equal)},
      {"Greater", 2, 2, comparison(greater)},
      {"GreaterOrEqual", 2, 2, comparison(greater_equal)},
      {"And", 2, 2, binary(mul)},
      {"Or", 2, 2, binary(maximum)},
      {"Xor", 2, 2, binary(not_equal)},
      {"Not", 1, 1, with([](const Tensor& x, const NodeCall&) { return equal(x, 0); })},
      {"Where", 3, 3, [](const NodeCall& c) { return std::vector{where(c.in(0), c.in(1), c.in(2))}; }},
      {"IsNaN", 1, 1, with([](const Tensor& x, const NodeCall&) { return as_boolean(isnan(x)); })},
      {"IsInf", 1, 1, with([](const Tensor& x, const NodeCall&) { return as_boolean(isinf(x)); })},
      {"Cast", 1, 1, with(cast_to), {"to"}, check_cast},
      {"Identity", 1, 1, with([](const Tensor& x, const NodeCall&) { return x; })},
      {"Reciprocal", 1, 1, with([](const Tensor& x, const NodeCall&) { return 1 / x; })},
      {"Clip", 1, 3, with(clip)},
      {"LeakyRelu",
       1,
       1,
       with([](const Tensor& x, const NodeCall& c) { return leaky_relu(x, c.number("alpha", 0.01)); }),
       {"alpha"}},
      {"Elu",
       1,
       1,
       with([](const Tensor& x, const NodeCall& c) { return elu(x, c.number("alpha", 1)); }),
       {"alpha"}},
      {"Selu", 1, 1, with(selu_of), {"alpha", "gamma"}},
      {"HardSigmoid", 1, 1, with(hard_sigmoid), {"alpha", "beta"}},
      {"HardSwish", 1, 1, unary(hardswish)},
      {"Softplus", 1, 1, with([](const Tensor& x, const NodeCall&) { return softplus(x); })},
      {"PRelu", 2, 2, binary(prelu)},
      {"Gelu",
       1,
       1,
       with([](const Tensor& x, const NodeCall& c) {
         return c.text("approximate", "none") == "tanh" ? gelu_tanh(x) : gelu(x);
       }),
       {"approximate"}},
  };
  using Function = Tensor (*)(const Tensor&);
  const std::pair<std::string_view, Function> functions[] = {
      {"Neg", neg},     {"Abs", abs},   {"Sign", sign},       {"Sqrt", sqrt}, {"Exp", exp},
      {"Log", log},     {"Sin", sin},   {"Cos", cos},         {"Tan", tan},   {"Asin", asin},
      {"Acos", acos},   {"Atan", atan}, {"Sinh", sinh},       {"Cosh", cosh}, {"Erf", erf},
      {"Round", round}, {"Relu", relu}, {"Sigmoid", sigmoid}, {"Tanh", tanh}, {"Softsign", softsign},
      {"Mish", mish}};
  for (const auto& [type, f] : functions) rows.push_back({type, 1, 1, unary(f)});
  rows.push_back({"Dropout", 1, 3, with(dropped_out), {"seed"}});
  return rows;
}

}  // namespace tapegrad::nn::onnx
