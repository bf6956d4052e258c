#include <cmath>
#include <numbers>

#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/ops/functional/numeric.h>

#include "op_support.h"

namespace numeric_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(numeric)

namespace {
double parabola(double x) { return 0.01 * (x * x) + 0.1 * x; }
Tensor squares(const Tensor& x) { return sum(square(x)); }
bool close(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance; }
}  // namespace

BOOST_AUTO_TEST_CASE(differences_of_known_functions_have_the_errors_of_their_formulas) {
  const auto cube = [](double x) { return x * x * x; };
  // ((x + h)^3 - x^3) / h = 3 x^2 + 3 x h + h^2;  the central one is 3 x^2 + h^2.
  BOOST_TEST(close(forward_difference(cube, 2, 0.125), 12 + 0.75 + 0.015625, 1e-13));
  BOOST_TEST(close(central_difference(cube, 2, 0.125), 12 + 0.015625, 1e-13));
  BOOST_TEST(close(forward_difference(parabola, 5), 0.2, 2e-6));
  BOOST_TEST(close(central_difference([](double x) { return std::sin(x); }, 1), std::cos(1.0), 1e-8));
  // Any callable, also one that yields another number.
  BOOST_TEST(close(central_difference(parabola, 5), 0.2, 1e-10));
  BOOST_TEST(close(central_difference([](double x) { return static_cast<float>(x * x); }, 8, 0.5), 16, 1e-4));
}

BOOST_AUTO_TEST_CASE(steps_that_cannot_work_are_refused) {
  BOOST_CHECK_EXCEPTION(
      central_difference(parabola, 5, 1e-50), ArgumentError,
      mentions("central_difference", "1e-50", "vanishes beside x = 5", "8.9e-16", "0.0001"));
  BOOST_CHECK_EXCEPTION(forward_difference(parabola, 5, 1e-50), ArgumentError,
                        mentions("forward_difference"));
  BOOST_CHECK_EXCEPTION(tangent_line(parabola, 5, 1e-50), ArgumentError,
                        mentions("tangent_line", "vanishes"));
  BOOST_CHECK_EXCEPTION(central_difference(parabola, -1e16, 0.5), ArgumentError, mentions("vanishes"));
  // The step that is proposed instead is one that is taken.
  for (const double x : {5.0, 1e10, -1e20, 1e300})
    for (const Dtype dtype : {f32, f64}) {
      if (std::abs(x) > 1e30 && dtype == f32) continue;
      const Tensor at = Tensor::full({1}, x, dtype);
      const auto refusal = [&](double h) -> std::string {
        try {
          numerical_gradient([](const Tensor& t) { return sum(t); }, at, h);
        } catch (const ArgumentError& e) {
          return e.what();
        }
        return "";
      };
      const std::string said = refusal(1e-30);
      const std::size_t advice = said.find("Take a step well above that; ");
      BOOST_REQUIRE_MESSAGE(advice != std::string::npos, said);
      BOOST_TEST(refusal(std::stod(said.substr(advice + 29))) == "", said);
    }
  for (const double h : {0.0, -1e-4, kNan, kInf}) {
    BOOST_CHECK_EXCEPTION(central_difference(parabola, 5, h), ArgumentError, mentions("positive and finite"));
    BOOST_CHECK_EXCEPTION(numerical_gradient(squares, Tensor::ones({2}, f64), h), ArgumentError,
                          mentions("numerical_gradient", "positive and finite"));
  }
  for (const double x : {kNan, kInf, -kInf}) {
    BOOST_CHECK_EXCEPTION(central_difference(parabola, x), NonFinite, mentions("central_difference", "x is"));
    BOOST_CHECK_THROW(numerical_gradient(squares, Tensor::full({2}, x)), NonFinite);
  }
  // At 0 even such a step is one.
  BOOST_TEST(close(central_difference(parabola, 0, 1e-50), 0.1, 1e-12));
  BOOST_CHECK_EXCEPTION(numerical_partial(squares, Tensor::from({0, 3}, f64), 1, 1e-50), ArgumentError,
                        mentions("numerical_partial", "1e-50", "x = 3", "f64"));
  // In f32 numbers near 3000 lie farther apart.
  BOOST_TEST(close(numerical_gradient(squares, Tensor::from({3000}, f64)).item(), 6000, 1e-4));
  BOOST_CHECK_EXCEPTION(numerical_gradient(squares, Tensor::from({3000})), ArgumentError,
                        mentions("numerical_gradient", "0.0001", "x = 3000", "f32", "0.00024"));
}

BOOST_AUTO_TEST_CASE(the_adaptive_derivative_is_as_exact_as_it_says) {
  struct Case {
    double (*f)(double);
    double x;
    double exact;
  };
  const Case cases[] = {
      {[](double x) { return std::exp(x); }, 1, std::numbers::e},
      {[](double x) { return std::sin(x); }, 0, 1},
      {[](double x) { return std::sin(20 * x); }, 0.3, 20 * std::cos(6.0)},
      {[](double x) { return 1 / x; }, 0.01, -1e4},
      {[](double x) { return std::log(x); }, 1e-3, 1e3},
      {[](double x) { return std::sqrt(x); }, 1e-6, 500},
      {[](double x) { return x * x * x; }, 1000, 3e6},
      {[](double x) { return x * x; }, 1e100, 2e100},
      {[](double) { return 7.0; }, 3, 0},
      {[](double x) { return 1e6 + x; }, 2, 1},
      {[](double x) { return std::exp(-1e-4 * x) * 1e-200; }, 3, -1e-204 * std::exp(-3e-4)},
      {parabola, 5, 0.2},
      {parabola, 10, 0.3},
  };
  for (const Case& c : cases) {
    const NumericalDerivative d = numerical_derivative(c.f, c.x);
    BOOST_TEST_CONTEXT("x = " << c.x << ", exact " << c.exact << ", value " << d.value << ", error "
                              << d.error) {
      BOOST_TEST(std::abs(d.value - c.exact) <= 2 * d.error + 1e-15 * std::abs(c.exact));
      BOOST_TEST(d.error <= 1e-6 * std::max(std::abs(c.exact), c.exact == 0 ? 1e-7 : 0));
    }
  }
  // Far more exact than a single difference.
  const auto f = [](double x) { return std::exp(std::sin(x)); };
  const double exact = std::cos(1.0) * std::exp(std::sin(1.0));
  const NumericalDerivative d = numerical_derivative(f, 1);
  BOOST_TEST(std::abs(d.value - exact) < 1e-12);
  BOOST_TEST(d.error < 1e-11);
  BOOST_TEST(std::abs(central_difference(f, 1) - exact) > 1e-10);
  BOOST_TEST(close(numerical_derivative(f, 1, 0.01).value, exact, 1e-10));
}

BOOST_AUTO_TEST_CASE(the_error_estimate_is_honest_at_thousands_of_points) {
  int points = 0;
  const auto check_at = [&](const ScalarFunction& f, double x, double exact) {
    const NumericalDerivative d = numerical_derivative(f, x);
    ++points;
    if (std::abs(d.value - exact) > 3 * d.error + 1e-13 * std::abs(exact))
      BOOST_ERROR("at " << x << ": " << d.value << " +- " << d.error << ", not " << exact);
  };
  for (const double w : {1.0, 10.0, 1e3, 1e5})
    for (double x = -3; x < 3; x += 0.0137)
      check_at([&](double t) { return std::sin(w * t); }, x, w * std::cos(w * x));
  for (double x = 0.001; x < 50; x *= 1.07) {
    check_at([](double t) { return std::log(t); }, x, 1 / x);
    check_at([](double t) { return std::sqrt(t); }, x, 0.5 / std::sqrt(x));
    check_at([](double t) { return std::exp(t); }, x, std::exp(x));
    check_at([](double t) { return 1 / (t * t); }, x, -2 / (x * x * x));
    check_at([](double t) { return std::tan(t); }, x, 1 + std::tan(x) * std::tan(x));
    check_at([](double t) { return std::atan(100 * (t - 1)); }, x, 100 / (1 + 1e4 * (x - 1) * (x - 1)));
  }
  BOOST_TEST(points > 2500);
}

BOOST_AUTO_TEST_CASE(the_adaptive_derivative_knows_a_kink_and_a_pole) {
  const auto corner = [](double x) { return x > 0 ? 3 * x : -x; };
  const NumericalDerivative d = numerical_derivative(corner, 0);
  BOOST_TEST(close(d.value, 1, 1e-12));  // between 3 and -1
  BOOST_TEST(close(d.error, 2, 1e-12));
  BOOST_CHECK_EXCEPTION(numerical_derivative([](double x) { return std::log(x); }, 0), NonFinite,
                        mentions("numerical_derivative", "-inf", "x = 0"));
  BOOST_CHECK_EXCEPTION(numerical_derivative([](double x) { return std::sqrt(x); }, 0), NonFinite,
                        mentions("0 at x = 0", "both sides", "however near"));
  BOOST_CHECK_EXCEPTION(numerical_derivative(parabola, 5, 1e-20), ArgumentError, mentions("vanishes"));
  for (const double reach : {-1.0, kNan, kInf})
    BOOST_CHECK_EXCEPTION(numerical_derivative(parabola, 5, reach), ArgumentError,
                          mentions("numerical_derivative", fmt::format("the reach is {};", reach).c_str()));
  for (const double x : {kNan, kInf, -kInf})
    for (const double reach : {0.0, 1.0, -1.0})
      BOOST_CHECK_EXCEPTION(numerical_derivative(parabola, x, reach), NonFinite,
                            mentions("numerical_derivative", "x is"));
}

// Of values that are rounded to less than double, equal ones must not pass for agreement.
BOOST_AUTO_TEST_CASE(the_error_estimate_sees_values_of_a_coarser_type) {
  const struct {
    double (*f)(double);
    double (*exact)(double);
  } functions[] = {
      {[](double x) -> double { return std::sin(static_cast<float>(x)); },
       [](double x) { return std::cos(x); }},
      {[](double x) -> double { return std::exp(static_cast<float>(x)); },
       [](double x) { return std::exp(x); }},
      {[](double x) { return std::round(1e6 * std::sin(x)) / 1e6; }, [](double x) { return std::cos(x); }},
      {[](double x) { return std::round(1e9 * std::tanh(x)) / 1e9; },
       [](double x) { return 1 / std::pow(std::cosh(x), 2); }}};
  int points = 0;
  int beyond = 0;
  for (const auto& [f, exact] : functions)
    for (double x = -3; x < 3; x += 0.0137) {
      const NumericalDerivative d = numerical_derivative(f, x);
      const double off = std::abs(d.value - exact(x));
      BOOST_TEST(off < 1e-3 * std::max(1.0, std::abs(exact(x))), "at " << x << " off by " << off);
      ++points;
      beyond += off > 30 * d.error;
    }
  BOOST_TEST(beyond < points / 50);
}

BOOST_AUTO_TEST_CASE(the_tangent_touches) {
  const auto f = [](double x) { return std::exp(x); };
  const TangentLine t = tangent_line(f, 1);
  BOOST_TEST(close(t(1), std::numbers::e, 1e-15));
  BOOST_TEST(close(t.slope, std::numbers::e, 1e-8));
  BOOST_TEST(close(t.intercept, 0, 1e-8));
}

BOOST_AUTO_TEST_CASE(the_numerical_gradient_agrees_with_the_exact_one) {
  const Tensor x = random({2, 3});
  const Tensor w = random({3, 2}, f64, -1, 1, 5);
  const auto f = [](const Tensor& a, const Tensor& b) { return sum(sin(matmul(a, b)) * matmul(a, b)); };
  const std::vector<Tensor> n = numerical_gradient(f, {x, w});
  const std::vector<Tensor> g = gradient(f, {x, w});
  for (std::size_t i = 0; i < 2; ++i) {
    check_tensor(n[i], g[i].shape(), numbers(g[i]), 1e-7);
    BOOST_TEST(
        numerical_partial([&](std::span<const Tensor> in) { return i == 0 ? f(in[0], w) : f(x, in[0]); },
                          i == 0 ? x : w, 4) == numbers(n[i])[4]);
  }
  // f32: exact to about the rounding of the values over the step.
  const Tensor single = numerical_gradient(squares, Tensor::from({1, 2}), 0.01);
  BOOST_TEST((single.dtype() == f32));
  check_tensor(single, {2}, {2, 4}, 1e-4);
  // What has no derivative is passed on.
  const std::vector<Tensor> mixed =
      numerical_gradient([](const Tensor& s, const Tensor& t) { return softmax_with_loss(s, t); },
                         {x, Tensor::from({0, 2}, i64)});
  BOOST_TEST(!mixed[1].defined());
  check_tensor(mixed[0], {2, 3},
               numbers(gradient(
                   [](const Tensor& s) {
                     return softmax_with_loss(s, Tensor::from({0, 2}, i64));
                   },
                   x)),
               1e-8);
}

BOOST_AUTO_TEST_CASE(nothing_is_recorded_or_changed) {
  const Parameter w(Tensor::from({1, 2}, f64));
  Tape tape;
  const Tensor x = w * 2.0;
  const std::size_t size = tape.size();
  std::vector<Tensor> seen;
  const Tensor g = numerical_gradient(
      [&](const Tensor& p) {
        seen.push_back(p);
        return sum(p * x * w);
      },
      x);
  check_tensor(g, {2}, {2, 8}, 1e-8);
  BOOST_TEST(tape.size() == size);
  BOOST_TEST(!g.tracked());
  check_tensor(x, {2}, {2, 4});
  BOOST_TEST(seen.size() == 4u);
  // As it was after each move: what f kept is the unmoved copy now.
  check_tensor(seen[0], {2}, {2, 4});
}

BOOST_AUTO_TEST_CASE(functions_that_do_not_fit_are_refused) {
  const Tensor x = Tensor::from({1, 2}, f64);
  BOOST_CHECK_EXCEPTION(numerical_gradient([](const Tensor& p) { return p; }, x), ShapeError,
                        mentions("numerical_gradient", "[2]", "one element"));
  BOOST_CHECK_EXCEPTION(numerical_gradient([](const Tensor&) { return Tensor(); }, x), ShapeError,
                        mentions("undefined"));
  BOOST_CHECK_EXCEPTION(numerical_gradient(squares, Tensor::arange(2)), DtypeError, mentions("i64", "cast"));
  BOOST_CHECK_EXCEPTION(numerical_gradient(squares, Tensor()), ArgumentError,
                        mentions("input 0", "undefined"));
  BOOST_CHECK_EXCEPTION(numerical_partial(squares, x, 2), ArgumentError,
                        mentions("numerical_partial", "element 2", "[2]"));
  BOOST_CHECK_THROW(numerical_partial(squares, x, -1), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace numeric_test
