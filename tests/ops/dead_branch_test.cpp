#include <array>
#include <cfenv>
#include <cmath>
#include <functional>

#include <tapegrad/ops/map.h>

#include "both_rules.h"
#include "op_support.h"

namespace dead_branch_test {

/// What contributes nothing to a result contributes exactly nothing to its derivatives.

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Function = std::function<Tensor(const Tensor&)>;

/// The derivative of the sum of f, of this order; each one summed again.
std::vector<double> derivative(const Function& f, const std::vector<double>& at, int order,
                               Dtype dtype = f64) {
  Tape tape;
  const Tensor x = tape.watch(cast(Tensor::from(at), dtype));
  Tensor y = f(x);
  for (int i = 1; i < order; ++i) y = tape.grad(sum(y), x, {.record = Record::yes});
  return numbers(order == 0 ? y : tape.grad(sum(y), x));
}

/// Equal, where NaN equals NaN.
void check_equal(const std::vector<double>& got, const std::vector<double>& expected) {
  BOOST_REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    BOOST_TEST((got[i] == expected[i] || (std::isnan(got[i]) && std::isnan(expected[i]))),
               "[" << i << "] is " << got[i] << " and should be " << expected[i]);
}

struct Singular {
  const char* name;
  Function f;
};

/// Functions that are NaN, or have an infinite or NaN derivative, at 0 and -1.
const std::vector<Singular>& singular() {
  static const std::vector<Singular> all{
      {"sqrt", [](auto& x) { return sqrt(x); }},
      {"rsqrt", [](auto& x) { return rsqrt(x); }},
      {"log", [](auto& x) { return log(x); }},
      {"log1p", [](auto& x) { return log1p(x - 1); }},
      {"reciprocal", [](auto& x) { return 1 / (x * (x + 1)); }},
      {"quotient", [](auto& x) { return x / (x * (x + 1)); }},
      {"pow", [](auto& x) { return pow(x, 0.5); }},
      {"pow of tensors", [](auto& x) { return pow(x, x + 0.5); }},
      {"asin", [](auto& x) { return asin(1 - x); }},
      {"acos", [](auto& x) { return acos(1 - x); }},
      {"map", [](auto& x) { return map([](auto v) { return log(v) * sqrt(v); }, x); }},
  };
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dead_branch)

BOOST_AUTO_TEST_CASE(the_branch_that_is_not_taken_contributes_nothing_at_any_order) {
  for (const Singular& s : singular()) {
    BOOST_TEST_CONTEXT(s.name) {
      const Function chosen = [&](const Tensor& x) { return where(x > 0.25, s.f(x), 3 * x * x); };
      for (const Dtype dtype : {f64, f32}) {
        check_equal(derivative(chosen, {0, -1}, 1, dtype), {0, -6});
        check_equal(derivative(chosen, {0, -1}, 2, dtype), {6, 6});
        check_equal(derivative(chosen, {0, -1}, 3, dtype), {0, 0});
      }
      // What is taken is as without the other.
      check_equal(derivative(chosen, {0.5, 0.7}, 1), derivative(s.f, {0.5, 0.7}, 1));
      check_equal(derivative(chosen, {0.5, 0.7}, 2), derivative(s.f, {0.5, 0.7}, 2));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_sliced_away_contributes_nothing) {
  for (const Singular& s : singular()) {
    BOOST_TEST_CONTEXT(s.name) {
      const Function part = [&](const Tensor& x) { return slice(s.f(x), 0, 1, 3); };
      const std::vector<double> first = derivative(part, {0, 0.5, 0.7, -1}, 1);
      const std::vector<double> second = derivative(part, {0, 0.5, 0.7, -1}, 2);
      BOOST_TEST((first[0] == 0 && first[3] == 0 && second[0] == 0 && second[3] == 0));
      check_equal({first[1], first[2]}, derivative(s.f, {0.5, 0.7}, 1));
      check_equal({second[1], second[2]}, derivative(s.f, {0.5, 0.7}, 2));
    }
  }
}

BOOST_AUTO_TEST_CASE(an_element_that_is_not_a_number_may_be_masked) {
  const std::vector<Function> all{
      [](auto& x) { return tanh(x); },     [](auto& x) { return sigmoid(x); },
      [](auto& x) { return x * x; },       [](auto& x) { return gelu(x); },
      [](auto& x) { return elu(x); },      [](auto& x) { return exp(x) / x; },
      [](auto& x) { return softplus(x); }, [](auto& x) { return sin(x); },
      [](auto& x) { return erf(x); },      [](auto& x) { return abs(x); },
      [](auto& x) { return relu(x); },     [](auto& x) { return maximum(x, 2 * x); },
  };
  for (const Function& f : all) {
    const Function masked = [&](const Tensor& x) { return where(x == x, where(abs(x) < 1e9, f(x), 0), 0); };
    for (const int order : {1, 2}) {
      const std::vector<double> d = derivative(masked, {kNan, kInf, -kInf, 0.5}, order);
      check_equal({d[0], d[1], d[2]}, {0, 0, 0});
      check_equal({d[3]}, derivative(f, {0.5}, order));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_dead_unit_before_a_singular_function) {
  check_equal(derivative([](auto& x) { return sqrt(relu(x)); }, {-1}, 1), {0});
  check_equal(derivative([](auto& x) { return sqrt(clamp(x, 0, 1)); }, {-1}, 1), {0});
  check_equal(derivative([](auto& x) { return map([](auto v) { return sqrt(relu(v)); }, x); }, {-1}, 1), {0});
  check_equal(derivative([](auto& x) { return map([](auto v) { return log(clamp(v, 0, 1)); }, x); }, {-1}, 1),
              {0});
}

BOOST_AUTO_TEST_CASE(in_a_map_the_branch_that_is_not_taken_contributes_nothing) {
  const Function f = [](const Tensor& x) {
    return map([](auto v) { return where(v > 0.0, sqrt(v) + log(v) / v, v * v); }, x);
  };
  check_equal(derivative(f, {-1, 0}, 1), {-2, 0});
  check_equal(derivative(f, {-1, 0}, 2), {2, 2});
  const Function of_two = [](const Tensor& x) {
    return map([](auto a, auto b) { return where(a > 0.0, a / (b - b), a * b); }, x, 2 * x);
  };
  check_equal(derivative(of_two, {-1}, 1), {-4});
  check_equal(derivative(of_two, {-1}, 2), {4});
}

// The derivatives within a map run forward, those of operations in reverse: a 0 wins in both.
BOOST_AUTO_TEST_CASE(in_a_map_a_derivative_of_zero_wins_as_among_operations) {
  struct Case {
    const char* formula;
    Function by_map, by_ops;
    double at, expected;
  };
#define FORMULA(formula, at, expected)                                                                     \
  Case {                                                                                                   \
#formula,                                                                                              \
        [](const Tensor&                                                                                   \
               t) { return map([](auto x) { return formula; }, t); }, [](const Tensor&                     \
                                                                             x) { return formula; }, at,   \
                                                                                                  expected \
  }
  const std::vector<Case> all{
      FORMULA(0 * sqrt(x) + x, 0, 1),          FORMULA(step(x) * log(x), 0, 0),
      FORMULA(relu(x) * log(x) + 2 * x, 0, 2), FORMULA(x * sqrt(x), 0, 0),
      FORMULA(exp(-1 / x), 1e-200, 0),         FORMULA(tanh(1 / x) + 3 * x, 1e-200, 3),
      FORMULA(sigmoid(1 / x), 1e-200, 0),      FORMULA(erf(1 / x), -1e-200, 0),
      FORMULA(softplus(-1 / x), 1e-200, 0),    FORMULA(atan(log(x)), 0, 0),
      FORMULA(1 / (1 + exp(-x)), -1000, 0),    FORMULA(exp(-x * x), kInf, 0),
      FORMULA(clamp(1 / x, -2, 2), 1e-200, 0), FORMULA(maximum(1 / x, 3), -1e-200, 0),
      FORMULA(pow(sqrt(x), 3), 0, 0),          FORMULA(hypot(sqrt(x), 1), 0, 0),
      FORMULA(sqrt(abs(x)), kNan, kNan),       FORMULA(pow(abs(x), 1.5), kNan, kNan),
      FORMULA(sqrt(relu(x)), kNan, 0),         FORMULA(square(relu(x)) + abs(x), kNan, kNan),
  };
#undef FORMULA
  for (const Case& c : all) BOOST_TEST_CONTEXT(c.formula << " at " << c.at) {
      for (const std::size_t n : {1, 3, 8, 37}) {
        std::vector<double> x(n, 0.75);  // beside harmless elements
        x[n / 2] = c.at;
        const std::vector<double> by_map = derivative(c.by_map, x, 1), by_ops = derivative(c.by_ops, x, 1);
        check_equal({by_ops[n / 2]}, {c.expected});
        check_equal({by_map[n / 2]}, {c.expected});
        for (std::size_t i = 0; i < n; ++i)
          if (i != n / 2) BOOST_TEST(near(by_map[i], by_ops[i], 1e-14));
        Tape tape;  // and by the rule that is recorded
        const Tensor t = tape.watch(Tensor::from(x));
        check_equal({numbers(tape.grad(sum(c.by_map(t)), t, {.record = Record::yes}))[n / 2]}, {c.expected});
      }
    }
  check_equal(
      derivative([](auto& t) { return map([](auto x) { return 1 / (1 + exp(-x)); }, t); }, {-100, 2}, 1, f32),
      derivative([](auto& x) { return 1 / (1 + exp(-x)); }, {-100, 2}, 1, f32));
  check_equal(
      derivative([](auto& t) { return map([](auto a, auto b) { return a * sqrt(b); }, t, 2 * t); }, {0}, 1),
      {0});
}

BOOST_AUTO_TEST_CASE(no_derivative_depends_on_the_elements_beside) {
  const std::vector<Function> all{
      [](auto& t) { return map([](auto x) { return clamp(1 / x, -2, 2); }, t); },
      [](auto& t) { return map([](auto x) { return x * sqrt(x) + relu(x) * log(x); }, t); },
      [](auto& t) { return map([](auto x) { return exp(-1 / x); }, t); },
      [](auto& x) { return clamp(1 / x, -2, 2); },
      [](auto& x) { return x * sqrt(x) + relu(x) * log(x); },
      [](auto& x) { return square(sqrt(x)); },
      [](auto& x) { return where(x > 0.25, sqrt(x), 3 * x * x); },
      [](auto& x) { return square(hypot(x, 1)) + abs(x); },
  };
  for (const Function& f : all)
    for (const int order : {1, 2, 3})
      for (const double at : {1e-155, 0.5, 0., -1., 1e-300}) {
        const std::vector<double> alone = derivative(f, {at}, order);
        for (const double beside : {kNan, kInf, 0., -0.5, 5e-324, 1e300})
          check_equal({derivative(f, {at, beside}, order)[0]}, alone);
      }
}

BOOST_AUTO_TEST_CASE(what_really_arises_still_shows) {
  check_equal(derivative([](auto& x) { return sqrt(x); }, {-1, 0}, 1), {kNan, kInf});
  check_equal(derivative([](auto& x) { return log(x); }, {0}, 1), {kInf});
  check_equal(derivative([](auto& x) { return 2 * sqrt(x) + x; }, {0}, 1), {kInf});
  check_equal(derivative([](auto& x) { return where(x < 0, sqrt(x), x); }, {-1}, 1), {kNan});
  check_equal(derivative([](auto& x) { return x * std::numeric_limits<double>::quiet_NaN(); }, {1}, 1),
              {kNan});
}

// An infinite or NaN constant is in all elements, so that leaving some aside cures nothing.
BOOST_AUTO_TEST_CASE(a_constant_that_is_not_finite_shows) {
  for (const double c : {kNan, kInf, -kInf}) {
    check_equal(derivative([=](auto& x) { return where(x > 0, x * c, x * x); }, {-1}, 1), {kNan});
    check_equal(derivative([=](auto& x) { return where(x > 0, c * x, x * x); }, {-1}, 1), {kNan});
  }
  check_equal(derivative([](auto& x) { return where(x > 0, x / 0.0, x * x); }, {-1}, 1), {kNan});
  check_equal(derivative([](auto& x) { return where(x > 0, x / (0 * x), x * x); }, {-1}, 1),
              {-2});  // a singular point
}

// x^2 by way of a function whose derivative is infinite at 0: what the library cannot know is no plausible 0.
BOOST_AUTO_TEST_CASE(a_smooth_function_through_a_singular_point_has_no_silent_zero) {
  const std::vector<Function> squares{
      [](auto& x) { return square(square(sqrt(x))); },
      [](auto& x) { return pow(sqrt(x), 4); },
      [](auto& x) { return square(hypot(x, 0)); },
      [](auto& x) { return 0.5 * square(hypot(x, x)); },
      [](auto& x) { return pow(hypot(0, x), 4) + square(hypot(x, 0)); },
      [](auto& x) { return square(norm(x)); },
      [](auto& x) { return square(vector_norm(x, 3)); },
      [](auto& x) { return pow(pow(x, 0.25), 8); },
      [](auto& x) { return map([](auto v) { return sqrt(v) * sqrt(v) * sqrt(v) * sqrt(v); }, x); },
  };
  for (const Function& f : squares) {
    const double second = derivative(f, {0}, 2)[0];
    BOOST_TEST((std::isnan(second) || second == 2), "it is " << second);
  }
}

BOOST_AUTO_TEST_CASE(limits_at_infinity) {
  struct Limit {
    const char* name;
    Function f;
    double low, high;  // at -infinity, infinity
    double low_slope, high_slope;
  };
  const double lambda = 1.0507009873554804934;
  const std::vector<Limit> all{
      {"sigmoid", [](auto& x) { return sigmoid(x); }, 0, 1, 0, 0},
      {"tanh", [](auto& x) { return tanh(x); }, -1, 1, 0, 0},
      {"softplus", [](auto& x) { return softplus(x); }, 0, kInf, 0, 1},
      {"log_sigmoid", [](auto& x) { return log_sigmoid(x); }, -kInf, 0, 1, 0},
      {"silu", [](auto& x) { return silu(x); }, 0, kInf, 0, 1},
      {"gelu", [](auto& x) { return gelu(x); }, 0, kInf, 0, 1},
      {"mish", [](auto& x) { return mish(x); }, 0, kInf, 0, 1},
      {"hardswish", [](auto& x) { return hardswish(x); }, 0, kInf, 0, 1},
      {"hardsigmoid", [](auto& x) { return hardsigmoid(x); }, 0, 1, 0, 0},
      {"elu", [](auto& x) { return elu(x, 0.5); }, -0.5, kInf, 0, 1},
      {"selu", [](auto& x) { return selu(x); }, -lambda * 1.6732632423543772848, kInf, 0, lambda},
      {"softsign", [](auto& x) { return softsign(x); }, -1, 1, 0, 0},
      {"erf", [](auto& x) { return erf(x); }, -1, 1, 0, 0},
      {"erfc", [](auto& x) { return erfc(x); }, 2, 0, 0, 0},
      {"atan", [](auto& x) { return atan(x); }, -1.5707963267948966, 1.5707963267948966, 0, 0},
      {"expm1", [](auto& x) { return expm1(x); }, -1, kInf, 0, kInf},
      {"relu", [](auto& x) { return relu(x); }, 0, kInf, 0, 1},
  };
  for (const Limit& limit : all) BOOST_TEST_CONTEXT(limit.name) {
      check_equal(derivative(limit.f, {-kInf, kInf}, 0), {limit.low, limit.high});
      check_equal(derivative(limit.f, {-kInf, kInf}, 1), {limit.low_slope, limit.high_slope});
      {
        Tape tape;  // and by the rule that is recorded
        const Tensor x = tape.watch(Tensor::from({-kInf, kInf}, f64));
        check_equal(numbers(tape.grad(sum(limit.f(x)), x, {.record = Record::yes})),
                    {limit.low_slope, limit.high_slope});
      }
    }
}

// What fills a vector behind the last element is one of the elements, so that no other point is touched.
BOOST_AUTO_TEST_CASE(harmless_elements_raise_no_floating_point_exception) {
  // Other threads have flags of their own; these sizes stay on this one.
  Generator generator(3);
  for (const Dtype dtype : {f32, f64})
    for (const std::int64_t n : {1, 3, 7, 8, 9, 16, 17, 31, 33, 63, 64, 65, 100}) {
      const Tensor small = uniform({n}, generator, 0.1, 0.9, dtype);
      const Tensor large = uniform({n}, generator, 2, 3, dtype);
      std::feclearexcept(FE_ALL_EXCEPT);
      const auto differentiate = [&](const Tensor& at, const Function& f) {
        Tape tape;
        const Tensor x = tape.watch(at);
        const Tensor first = tape.grad(sum(f(x)), x, {.record = Record::yes});
        tape.grad(sum(first), x);
        Tape again;
        const Tensor v = again.watch(at);
        again.backward(sum(f(v)));
      };
      for (const Function& f : std::vector<Function>{[](auto& x) { return asin(x) + acos(x); },
                                                     [](auto& x) { return log(x) + sqrt(x) + 1 / x; },
                                                     [](auto& x) { return log1p(-x) + rsqrt(x); },
                                                     [](auto& x) { return 1 / (1 - x) + pow(1 - x, -0.5); }})
        differentiate(small, f);
      differentiate(large, [](auto& x) {
        return map([](auto v) { return 1.0 / (v - 1.0) + sqrt(v - 1.5) + log(v - 1.0); }, x);
      });
      BOOST_TEST(std::fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) == 0, n << " elements");
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace dead_branch_test
