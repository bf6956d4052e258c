// Reals: values and derivatives of every function beside finite differences, statements, and what is refused.

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/functional/numeric.h>
#include <tapegrad/ops/scalar/scalar_gradient.h>

#include "op_support.h"

namespace real_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using In = std::span<const Real>;

/// f of one number: its value is std's, its derivative what differences show.
template <class F>
void check_unary(const char* name, const std::vector<double>& points, const F& f) {
  for (const double x : points) BOOST_TEST_CONTEXT(name << " at " << x) {
      const auto [y, g] = value_and_gradient([&](In p) -> Real { return f(p[0]); }, {x});
      BOOST_TEST(y == f(x));
      const NumericalDerivative d = numerical_derivative([&](double at) { return f(at); }, x);
      BOOST_TEST(std::abs(g[0] - d.value) <= 10 * d.error + 1e-9 * std::abs(g[0]));
    }
}
#define CHECK_UNARY(name, ...)                          \
  check_unary(#name, {__VA_ARGS__}, [](const auto& x) { \
    using std::name;                                    \
    return name(x);                                     \
  })

/// f of two numbers, both of them Reals or one of them a double.
template <class F>
void check_binary(const char* name, const std::vector<std::array<double, 2>>& points, const F& f) {
  for (const std::array<double, 2>& point : points)
    BOOST_TEST_CONTEXT(name << " at " << point[0] << ", " << point[1]) {
      const double a = point[0], b = point[1];
      const auto [y, g] = value_and_gradient([&](In p) -> Real { return f(p[0], p[1]); }, {a, b});
      const auto left = value_and_gradient([&](In p) -> Real { return f(p[0], b); }, {a});
      const auto right = value_and_gradient([&](In p) -> Real { return f(a, p[0]); }, {b});
      BOOST_TEST(y == f(a, b));
      BOOST_TEST(left.value == y);
      BOOST_TEST(right.value == y);
      const NumericalDerivative da = numerical_derivative([&](double at) { return f(at, b); }, a);
      const NumericalDerivative db = numerical_derivative([&](double at) { return f(a, at); }, b);
      BOOST_TEST(std::abs(g[0] - da.value) <= 10 * da.error + 1e-9 * std::abs(g[0]));
      BOOST_TEST(std::abs(g[1] - db.value) <= 10 * db.error + 1e-9 * std::abs(g[1]));
      BOOST_TEST(left.gradient[0] == g[0]);
      BOOST_TEST(right.gradient[0] == g[1]);
    }
}
#define CHECK_BINARY(name, ...)                                         \
  check_binary(#name, {__VA_ARGS__}, [](const auto& a, const auto& b) { \
    using std::name;                                                    \
    return name(a, b);                                                  \
  })

double gradient_of(double x, Real (*f)(const Real&)) {
  return value_and_gradient([f](In p) { return f(p[0]); }, {x}).gradient[0];
}

}  // namespace

BOOST_AUTO_TEST_SUITE(real)

BOOST_AUTO_TEST_CASE(functions_of_one_number) {
  check_unary("square", {-3, 0, 2}, [](const auto& x) { return x * x; });
  check_unary("-", {-3, 0, 2}, [](const auto& x) { return -x; });
  check_unary("+", {-3, 2}, [](const auto& x) { return +x; });
  CHECK_UNARY(abs, -3, 2);
  CHECK_UNARY(fabs, -3, 2);
  CHECK_UNARY(sqrt, 1e-3, 2, 1e6);
  CHECK_UNARY(cbrt, -2, 1e-3, 30);
  CHECK_UNARY(exp, -20, 0, 3);
  CHECK_UNARY(exp2, -20, 0, 3);
  CHECK_UNARY(expm1, -20, 1e-3, 3);
  CHECK_UNARY(log, 1e-3, 2, 1e6);
  CHECK_UNARY(log2, 1e-3, 2, 1e6);
  CHECK_UNARY(log10, 1e-3, 2, 1e6);
  CHECK_UNARY(log1p, -0.9, 1e-3, 1e6);
  CHECK_UNARY(sin, -3, 0, 40);
  CHECK_UNARY(cos, -3, 0.1, 40);
  CHECK_UNARY(tan, -1.4, 0, 1);
  CHECK_UNARY(asin, -0.9, 0, 0.5);
  CHECK_UNARY(acos, -0.9, 0, 0.5);
  CHECK_UNARY(atan, -3, 0, 200);
  CHECK_UNARY(sinh, -3, 0, 4);
  CHECK_UNARY(cosh, -3, 0.1, 4);
  CHECK_UNARY(tanh, -3, 0, 4);
  CHECK_UNARY(asinh, -3, 0, 4);
  CHECK_UNARY(acosh, 1.1, 4);
  CHECK_UNARY(atanh, -0.9, 0, 0.5);
  CHECK_UNARY(erf, -3, 0, 2);
  CHECK_UNARY(erfc, -3, 0, 5);
  CHECK_UNARY(lgamma, -2.5, 0.1, 1.2, 30);
  CHECK_UNARY(tgamma, -2.5, 0.1, 1.2, 5);
}

BOOST_AUTO_TEST_CASE(functions_of_two_numbers) {
  check_binary("+", {{2, -3}}, [](const auto& a, const auto& b) { return a + b; });
  check_binary("-", {{2, -3}}, [](const auto& a, const auto& b) { return a - b; });
  check_binary("*", {{2, -3}, {0, 3}}, [](const auto& a, const auto& b) { return a * b; });
  check_binary("/", {{2, -3}, {0, 0.1}}, [](const auto& a, const auto& b) { return a / b; });
  CHECK_BINARY(pow, {2, 3}, {0.5, -1.5}, {3, 0});
  CHECK_BINARY(atan2, {1, 2}, {-1, -3}, {1e-3, 2});
  CHECK_BINARY(hypot, {3, 4}, {-1, 1e-3});
  CHECK_BINARY(max, {3, 4}, {-1, -3});
  CHECK_BINARY(min, {3, 4}, {-1, -3});
  CHECK_BINARY(fmax, {3, 4}, {-1, -3});
  CHECK_BINARY(fmin, {3, 4}, {-1, -3});
  CHECK_BINARY(fmod, {7.5, 2}, {-7.5, 2});
  CHECK_BINARY(copysign, {3, -4}, {-3, -1}, {2, 1});
}

BOOST_AUTO_TEST_CASE(conventions_are_those_of_tensors) {
  BOOST_TEST(gradient_of(0, [](const Real& x) -> Real { return abs(x); }) == 0);
  BOOST_TEST(gradient_of(0, [](const Real& x) -> Real { return sqrt(x); }) == kInf);
  BOOST_TEST(gradient_of(0, [](const Real& x) -> Real { return 0 * sqrt(x); }) == 0);
  BOOST_TEST(gradient_of(0, [](const Real& x) -> Real { return pow(x, 0); }) == 0);
  BOOST_TEST(gradient_of(1, [](const Real& x) -> Real { return max(x, 1); }) == 0.5);
  BOOST_TEST(gradient_of(1, [](const Real& x) -> Real { return max(x, x); }) == 1);
  BOOST_TEST(gradient_of(1, [](const Real& x) -> Real { return fmax(x, kNan); }) == 1);
  BOOST_TEST(gradient_of(2.5, [](const Real& x) -> Real { return floor(x) + x; }) == 1);
  const ScalarGradient origin =
      value_and_gradient([](In p) -> Real { return hypot(p[0], p[1]); }, {0.0, 0.0});
  BOOST_TEST(origin.gradient == (std::vector<double>{0, 0}), boost::test_tools::per_element());
  const ScalarGradient power = value_and_gradient([](In p) -> Real { return pow(p[0], p[1]); }, {0.0, 2.0});
  BOOST_TEST(power.gradient == (std::vector<double>{0, 0}), boost::test_tools::per_element());
  // Far out, where squares overflow.
  const ScalarGradient far =
      value_and_gradient([](In p) -> Real { return atan2(p[0], p[1]); }, {3e200, 4e200});
  BOOST_TEST(std::abs(far.gradient[0] * 1e200 - 0.16) < 1e-12);
  BOOST_TEST(gradient_of(1e200, [](const Real& x) -> Real { return atan(x) * 1e200; }) == 0);
  BOOST_TEST(std::abs(gradient_of(1e100, [](const Real& x) -> Real { return atan(x); }) * 1e200 - 1) < 1e-12);
}

BOOST_AUTO_TEST_CASE(loops_branches_and_assignments) {
  // x^5 / 2 for x > 0, by repeated multiplication.
  const auto f = [](In p) {
    Real y = 1;
    for (int i = 0; i < 5; ++i) y *= p[0];
    if (p[0] > 0)
      y /= 2;
    else
      y -= 100;
    y += p[1];
    y = y - p[1] * 2.0;
    return y;
  };
  const auto [y, g] = value_and_gradient(f, {2.0, 7.0});
  BOOST_TEST(y == 9);
  BOOST_TEST(g == (std::vector<double>{40, -1}), boost::test_tools::per_element());
  BOOST_TEST(value_and_gradient(f, {-2.0, 0.0}).value == -132);
  // One Real in several places, copied, and expressions that are held.
  const auto twice = value_and_gradient(
      [](In p) -> Real {
        const auto held = p[0] * p[0];
        const Real copy = p[0];
        return held * held + copy;
      },
      {3.0});
  BOOST_TEST(twice.value == 84);
  BOOST_TEST(twice.gradient[0] == 109);
  BOOST_TEST(value_and_gradient([](In p) -> Real { return fma(p[0], 3, p[0]); }, {2.0}).gradient[0] == 4);
  // A function of no input, or that does not use them.
  BOOST_TEST(value_and_gradient([](In) -> Real { return 3; }, std::vector<double>{}).gradient.empty());
  BOOST_TEST(value_and_gradient([](In) -> Real { return 3; }, {1.0}).gradient[0] == 0);
  BOOST_TEST(value_and_gradient([](In p) { return p[0]; }, {5.0}).gradient[0] == 1);
}

BOOST_AUTO_TEST_CASE(several_results) {
  const auto rotate = [](In p) -> std::vector<Real> {
    const Real c = cos(p[0]), s = sin(p[0]);
    return {c * p[1] - s * p[2], s * p[1] + c * p[2], p[2], 4};
  };
  const auto [y, j] = values_and_jacobian(rotate, {0.5, 2.0, 3.0});
  const double c = std::cos(0.5), s = std::sin(0.5);
  const std::vector<double> values{2 * c - 3 * s, 2 * s + 3 * c, 3, 4};
  const std::vector<double> jacobian{-2 * s - 3 * c, c, -s, 2 * c - 3 * s, s, c, 0, 0, 1, 0, 0, 0};
  for (std::size_t i = 0; i < values.size(); ++i) BOOST_TEST(std::abs(y[i] - values[i]) < 1e-15);
  BOOST_TEST_REQUIRE(j.size() == jacobian.size());
  for (std::size_t i = 0; i < j.size(); ++i) BOOST_TEST(std::abs(j[i] - jacobian[i]) < 1e-15);
  const auto pair = values_and_jacobian([](In p) { return std::array<Real, 2>{p[0] * 2, p[0] * 3}; }, {1.0});
  BOOST_TEST(pair.jacobian == (std::vector<double>{2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(many_statements_and_long_ones) {
  // Chunks of several sizes, and a statement that is longer than what is left of one.
  for (const int n : {1, 4000, 5000, 300'000}) {
    const auto [y, g] = value_and_gradient(
        [n](In p) {
          Real sum = 0;
          for (int i = 0; i < n; ++i)
            sum += p[0] * p[1] * p[2] + p[0] * p[0] + p[1] * p[1] + p[2] * p[2] - p[0] - p[1] - p[2];
          return sum;
        },
        {1.0, 2.0, 3.0});
    BOOST_TEST(y == 14.0 * n);
    BOOST_TEST(g == (std::vector<double>{7.0 * n, 6.0 * n, 7.0 * n}), boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_real_that_outlives_its_function_throws) {
  Real escaped;
  value_and_gradient([&](In p) { return escaped = p[0] * 2; }, {1.0});
  BOOST_TEST(escaped.value() == 2);
  BOOST_TEST(value(escaped) == 2);
  BOOST_TEST((escaped > 1));
  BOOST_CHECK_EXCEPTION(Real(escaped * 2), Error, mentions("outlived", "value()"));
  BOOST_CHECK_EXCEPTION(value_and_gradient([&](In p) -> Real { return p[0] * escaped; }, {1.0}), Error,
                        mentions("another evaluation", "value()"));
  BOOST_CHECK_EXCEPTION(value_and_gradient([&](In) { return escaped; }, {1.0}), Error,
                        mentions("another evaluation"));
  // Within an inner evaluation an outer one's is as foreign; its result is a number, or a constant here.
  BOOST_CHECK_THROW(value_and_gradient(
                        [](In p) -> Real {
                          return value_and_gradient([&](In q) -> Real { return q[0] * p[0]; }, {2.0}).value;
                        },
                        {1.0}),
                    Error);
  const auto nested = value_and_gradient(
      [](In p) -> Real {
        const auto inner = value_and_gradient([](In q) -> Real { return q[0] * q[0]; }, {value(p[0])});
        return p[0] * inner.gradient[0];
      },
      {3.0});
  BOOST_TEST(nested.gradient[0] == 6);
  // Outside of any, Reals are numbers.
  Real constant = 3;
  constant = constant * 2 + 1;
  BOOST_TEST(constant.value() == 7);
}

BOOST_AUTO_TEST_CASE(an_exception_leaves_nothing_behind) {
  const auto f = [](In p) -> Real {
    Real y = p[0];
    for (int i = 0; i < 10000; ++i) y = y * p[0];
    if (p[0] > 1.5) throw std::runtime_error("no");
    return y;
  };
  BOOST_CHECK_THROW(value_and_gradient(f, {2.0}), std::runtime_error);
  BOOST_TEST(detail::ScalarRecord<double>::active() == nullptr);
  BOOST_TEST(value_and_gradient(f, {1.0}).gradient[0] == 10001);
}

BOOST_AUTO_TEST_CASE(threads_have_records_of_their_own) {
  std::vector<double> results(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([i, &results] {
      for (int round = 0; round < 50; ++round)
        results[i] = value_and_gradient(
                         [](In p) {
                           Real y = 1;
                           for (int k = 0; k < 1000; ++k) y = y * 1.0 + p[0];
                           return y * p[0];
                         },
                         {static_cast<double>(i)})
                         .gradient[0];
    });
  for (std::thread& t : threads) t.join();
  for (std::size_t i = 0; i < results.size(); ++i)
    BOOST_TEST(results[i] == 1 + 2000 * static_cast<double>(i));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace real_test
