// Derivatives of second and higher order of functions of scalars: each function of Reals beside differences of the
// order before, whole functions beside the same of tensors, and what is refused.

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/functional/numeric.h>
#include <tapegrad/ops/scalar/scalar_function.h>
#include <tapegrad/tapegrad.h>

#include "op_support.h"
#include "rosenbrock_support.h"

namespace scalar_orders_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// row(name, highest order, expression, points): functions of one number.
#define FUNCTIONS(row)                                                                                       \
  row("-", 4, -x, -3, 2) row("cubed", 5, x* x* x, -3, 0, 2) row("square", 4, square(x), -3, 0, 2) row(       \
      "abs", 3, abs(x), -3, 2) row("fabs", 3, fabs(x), -3, 2) row("sqrt", 4, sqrt(x), 0.5, 20)               \
      row("cbrt", 4, cbrt(x), -2, 30) row("exp", 4, exp(x), -2, 0, 3) row("exp2", 4, exp2(x), -2, 0, 3) row( \
          "expm1", 4, expm1(x), -2, 1e-3, 3) row("log", 4, log(x), 0.5, 20) row("log2", 4, log2(x), 0.5, 20) \
          row("log10", 4, log10(x), 0.5, 20) row("log1p", 4, log1p(x), -0.5, 1e-3, 20)                       \
              row("sin", 4, sin(x), -3, 0, 7) row("cos", 4, cos(x), -3, 0.1, 7) row(                         \
                  "tan", 4, tan(x), -1, 0, 0.5) row("asin", 3, asin(x), -0.7, 0, 0.5)                        \
                  row("acos", 3, acos(x), -0.7, 0, 0.5) row("atan", 4, atan(x), -3, 0, 0.5, 20) row(         \
                      "sinh",                                                                                \
                      4, sinh(x),                                                                            \
                      -3,                                                                                    \
                      0, 2) row("cosh", 4, cosh(x), -3, 0.1,                                                 \
                                2) row("tanh", 4, tanh(x), -2, 0,                                            \
                                       1) row("asinh", 4, asinh(x), -30, -1, 0, 0.5, 4)                      \
                      row("acosh", 3, acosh(x), 1.5, 4) row("atanh", 3, atanh(x), -0.7, 0, 0.5) row(         \
                          "erf", 4, erf(x), -2,                                                              \
                          0, 1) row("erfc", 4, erfc(x), -2, 0,                                               \
                                    3) row("lgamma", 2, lgamma(x), -2.5, 0.3, 1.2, 30)                       \
                          row("tgamma", 2, tgamma(x), -2.5, 0.3, 1.2,                                        \
                              5) /* Of two numbers: along lines, so that all mixed derivatives are in it. */ \
      row("*", 4, (x + 1) * (2 * x), -3, 0, 2) row("/", 4, (x + 1) / (2 * x), -3, 2)                         \
          row("1 /", 4, 1 / x, -3, 2) row("pow", 3, pow(x, x* x), 0.5, 2)                                    \
              row("pow(x, 3)", 4, pow(x, 3), -2, 0, 2) row("pow(3, x)", 4, pow(3, x), -2, 0, 2)              \
                  row("atan2", 3, atan2(x, 2 * x * x - 3), -3, 0.5) row(                                     \
                      "hypot", 3, hypot(x, 2 * x * x - 3), -3, 0.5) row("max", 3, max(x* x* x, x* x), -3, 2) \
                      row("min", 3, min(x* x* x, x* x), -3, 2) row("fmax", 3, fmax(x* x* x, x* x), -3, 2)    \
                          row("fmin", 3, fmin(x* x* x, x* x), -3, 2)                                         \
                              row("fmod", 3, fmod(x* x* x, 1.7) + fmod(7.5, x), 0.5, 2.1)                    \
                                  row("copysign", 3, copysign(x* x* x, x - 1), -3, 2)                        \
                                      row("fma", 3, fma(x, x* x, x), -3, 2)                                  \
                                          row("branches", 3,                                                 \
                                              (x > 0 ? R(x / (1 + x)) : R(x * x - floor(x) * x)), -2.5, 2)

/// The derivative of this order of a row's function at x.
double derivative(int row, double point, int order) {
  const auto f = [row]<class R>(std::span<const R> p) -> R {
    const R& x = p[0];
    int at = 0;
#define ROW(name, orders, expression, ...) \
  if (at++ == row) return expression;
    FUNCTIONS(ROW)
#undef ROW
    throw std::logic_error("there is no such row");
  };
  Tape tape;
  const Tensor at = tape.watch(Tensor::scalar(point, f64));
  Tensor y = tapegrad::scalar_function(f, at);
  for (int i = 1; i <= order; ++i) y = tape.grad(y, at, {.record = i < order ? Record::yes : Record::no});
  return y.item();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(scalar_orders)

BOOST_AUTO_TEST_CASE(each_derivative_is_what_differences_of_the_one_before_show) {
  int row = 0;
  const auto check = [&](const char* name, int orders, const std::vector<double>& points) {
    for (const double x : points)
      for (int order = 1; order <= orders; ++order)
        BOOST_TEST_CONTEXT(name << " at " << x << ", order " << order) {
          const NumericalDerivative d =
              numerical_derivative([&](double at) { return derivative(row, at, order - 1); }, x);
          const double exact = derivative(row, x, order);
          BOOST_TEST(std::abs(exact - d.value) <= 10 * d.error + 1e-8 * (1 + std::abs(exact)));
        }
    ++row;
  };
#define ROW(name, orders, expression, ...) check(name, orders, {__VA_ARGS__});
  FUNCTIONS(ROW)
#undef ROW
}

BOOST_AUTO_TEST_CASE(whole_functions_are_those_of_tensors) {
  const auto scalars = [](const Tensor& p) { return tapegrad::scalar_function(rosenbrock, p); };
  for (const Dtype dtype : {f64, f32}) {
    const double tolerance = dtype == f64 ? 1e-12 : 1e-4;
    const Tensor p = random({5}, dtype, -2, 2, 1), v = random({5}, dtype, -2, 2, 2);
    check_tensor(hessian(scalars, p), {5, 5}, numbers(hessian(rosenbrock_of_tensors, p)), tolerance);
    check_tensor(hvp(scalars, p, v), {5}, numbers(hvp(rosenbrock_of_tensors, p, v)), tolerance);
    check_tensor(jvp(scalars, p, v).tangent, {}, numbers(jvp(rosenbrock_of_tensors, p, v).tangent),
                 tolerance);
    // The fourth order, each time of the sum of squares.
    std::vector<Tensor> results;
    for (const bool of_scalars : {true, false}) {
      Tape tape;
      const Tensor x = tape.watch(p);
      Tensor y = of_scalars ? scalars(x) : rosenbrock_of_tensors(x);
      for (int order = 0; order < 4; ++order) y = sum(square(tape.grad(y, x, {.record = Record::yes}) / 100));
      results.push_back(tape.grad(y, x));
    }
    const std::vector<double> expected = numbers(results[1]);
    const double scale = std::abs(*std::max_element(
        expected.begin(), expected.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }));
    for (std::size_t i = 0; i < expected.size(); ++i)
      BOOST_TEST(std::abs(numbers(results[0])[i] - expected[i]) <= 10 * tolerance * scale);
  }
}

BOOST_AUTO_TEST_CASE(several_inputs_and_results) {
  const auto f = []<class R>(std::span<const R> a, std::span<const R> b) {
    R product = 1;
    for (const R& x : a) product *= x;
    return std::array<R, 4>{product * b[1], sin(a[1]) * b[0], b[0] - b[0], 7};
  };
  const Tensor a = Tensor::from({{1, 2}, {3, -4}}, f64), b = Tensor::from({0, 5}, f64);
  const gradcheck::Report report =
      gradcheck::check([&](std::span<const Tensor> in) { return tapegrad::scalar_function(f, in[0], in[1]); },
                       {a, b}, {.order = 3});
  BOOST_TEST((report.verdict() == gradcheck::Verdict::pass), report.text());
  // One of the inputs alone is differentiated, and the gradient of the results is not a constant.
  Tape tape;
  const Tensor w = tape.watch(b);
  const Tensor y = tapegrad::scalar_function(f, a, w);
  const Tensor g = tape.grad(sum(y * y * y), w, {.record = Record::yes});
  // y = (-24 w1, sin(2) w0, 0, 7): the derivative of 3 y^2 dy.
  const double s = std::sin(2.0);
  check_tensor(g, {2}, {0, 3 * 120.0 * 120 * -24}, 1e-12);
  check_tensor(tape.grad(sum(g), w), {2}, {0, 6 * -120.0 * 24 * 24}, 1e-12);
  check_tensor(
      tape.grad(tapegrad::scalar_function(f, a, w), w, {.cotangent = Tensor::from({0, 1, 0, 0}, f64)}), {2},
      {s, 0}, 1e-15);
}

BOOST_AUTO_TEST_CASE(what_has_no_further_derivative_says_so) {
  const Tensor p = Tensor::from({2, 3}, f64);
  const auto of_reals_alone = [](std::span<const Real> x) -> Real { return x[0] * x[1]; };
  check_tensor(gradient([&](const Tensor& x) { return tapegrad::scalar_function(of_reals_alone, x); }, p),
               {2}, {3, 2});
  BOOST_CHECK_EXCEPTION(
      hessian([&](const Tensor& x) { return tapegrad::scalar_function(of_reals_alone, x); }, p),
      NotDifferentiable, mentions("scalar_function"));
  for (const char* name : {"lgamma", "tgamma"}) {
    Tape tape;
    const Tensor x = tape.watch(p);
    const Tensor y =
        name[0] == 'l'
            ? tapegrad::scalar_function([]<class R>(std::span<const R> v) -> R { return lgamma(v[0]); }, x)
            : tapegrad::scalar_function([]<class R>(std::span<const R> v) -> R { return tgamma(v[0]); }, x);
    const Tensor g = tape.grad(y, x, {.record = Record::yes});
    BOOST_CHECK_EXCEPTION(tape.grad(sum(g), x, {.record = Record::yes}), NotDifferentiable, mentions(name));
  }
  BOOST_TEST(detail::ScalarRecord<double>::active() == nullptr);
  BOOST_TEST(detail::ScalarRecord<Real>::active() == nullptr);
  BOOST_TEST(detail::ScalarRecord<detail::TensorNumber>::active() == nullptr);
}

BOOST_AUTO_TEST_CASE(constants_and_what_is_linear_have_zeros) {
  const Tensor p = Tensor::from({2, 3}, f64);
  const auto zeros = std::vector<double>(4, 0.0);
  check_tensor(hessian(
                   [](const Tensor& x) {
                     return tapegrad::scalar_function(
                         []<class R>(std::span<const R> v) -> R { return 3 * v[0] - v[1]; }, x);
                   },
                   p),
               {2, 2}, zeros);
  check_tensor(hessian(
                   [](const Tensor& x) {
                     return tapegrad::scalar_function([]<class R>(std::span<const R>) -> R { return 3; }, x);
                   },
                   p),
               {2, 2}, zeros);
  // What happens to be 0 has derivatives.
  check_tensor(hessian(
                   [](const Tensor& x) {
                     return tapegrad::scalar_function(
                         []<class R>(std::span<const R> v) -> R { return (v[0] - 2) * (v[1] - 3); }, x);
                   },
                   p),
               {2, 2}, {0, 1, 1, 0});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace scalar_orders_test
