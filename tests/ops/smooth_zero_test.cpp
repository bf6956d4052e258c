#include <cmath>
#include <functional>
#include <vector>

#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/map.h>
#include <tapegrad/ops/ops.h>

#include "op_support.h"

namespace smooth_zero_test {

/// A gradient is 0 where a result does not depend on an element, and stays so at every order. Or it happens to be 0,
/// and an infinite derivative behind it may make anything of the next: right, or NaN, but no plausible number.

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Function = std::function<Tensor(const Tensor&)>;

struct Case {
  const char* name;
  Function f;
  std::vector<double> derivatives;  // at 0, of orders 1, 2 and 3
};

/// The derivatives at x, each recorded: the sum of each is differentiated further. `beside` stands in the same tensor.
std::vector<double> derivatives(const Function& f, double x, double beside, Dtype dtype) {
  Tape tape;
  const Tensor at = tape.watch(cast(Tensor::from({beside, x, beside}, f64), dtype));
  Tensor y = f(at);
  std::vector<double> all;
  for (int order = 1; order <= 3; ++order) {
    y = tape.grad(sum(y), at, {.record = Record::yes});
    all.push_back(numbers(y)[1]);
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(smooth_zero)

BOOST_AUTO_TEST_CASE(what_passes_smoothly_through_a_singular_point_is_right_or_nan) {
  const std::vector<Case> all{
      {"square(sqrt(x x))", [](auto& x) { return square(sqrt(x * x)); }, {0, 2, 0}},
      {"a product of roots", [](auto& x) { return sqrt(square(x)) * sqrt(x * x); }, {0, 2, 0}},
      {"a root of sums",
       [](auto& x) {
         const Tensor rows = reshape(x, {3, 1});
         return square(sqrt(sum(rows * rows, 1)));
       },
       {0, 2, 0}},
      {"pow(x x, 0.5)^2", [](auto& x) { return square(pow(x * x, 0.5)); }, {0, 2, 0}},
      {"acos(cos(x))^2", [](auto& x) { return square(acos(cos(x))); }, {0, 2, 0}},
      {"e^(2 ln |x|)", [](auto& x) { return exp(2 * log(abs(x))); }, {0, 2, 0}},
      {"cos(sqrt(x x))", [](auto& x) { return cos(sqrt(x * x)); }, {0, -1, 0}},
      {"ln(1 + sqrt(x x)^2)", [](auto& x) { return log1p(square(sqrt(x * x))); }, {0, 2, 0}},
      {"cosh(hypot(x, 0))", [](auto& x) { return cosh(hypot(x, 0 * x)); }, {0, 1, 0}},
      {"a distance squared",
       [](auto& x) {
         return square(norm(reshape(x, {3, 1}), 1));
       },
       {0, 2, 0}},
      {"in a map", [](auto& x) { return map([](auto v) { return square(sqrt(v * v)); }, x); }, {0, 2, 0}},
      {"in a map, e^(ln(x x))",
       [](auto& x) { return map([](auto v) { return exp(log(v * v)); }, x); },
       {0, 2, 0}},
      {"a map of a root", [](auto& x) { return map([](auto v) { return v * v; }, sqrt(x * x)); }, {0, 2, 0}},
      {"a root of a map",
       [](auto& x) { return square(sqrt(map([](auto v) { return v * v; }, x))); },
       {0, 2, 0}},
      {"with a weight of -0",
       [](auto& x) { return square(sqrt(x * x)) + (x * -0.0) * sqrt(x * x); },
       {0, 2, 0}},
  };
  for (const Case& c : all)
    for (const double zero : {0.0, -0.0})
      for (const Dtype dtype : {f64, f32}) BOOST_TEST_CONTEXT(c.name << " at " << zero) {
          const std::vector<double> d = derivatives(c.f, zero, 0.5, dtype);
          for (std::size_t i = 0; i < 3; ++i)
            BOOST_TEST((d[i] == c.derivatives[i] || (i > 0 && std::isnan(d[i]))),
                       "order " << i + 1 << ": " << d[i]);
        }
}

BOOST_AUTO_TEST_CASE(what_is_masked_contributes_nothing_at_any_order) {
  const Tensor weight = random({1, 1}, f64, 0.5, 2);
  Generator generator(1);
  const auto column = [](const Tensor& x) { return reshape(x, {3, 1}); };
  const auto flat = [](const Tensor& x) { return reshape(x, {3}); };
  const std::vector<std::pair<const char*, Function>> all{
      {"sqrt", [](auto& x) { return sqrt(x); }},
      {"square(sqrt)", [](auto& x) { return square(sqrt(x)); }},
      {"square(sqrt(x x))", [](auto& x) { return square(sqrt(x * x)); }},
      {"x sqrt", [](auto& x) { return -x * sqrt(x); }},
      {"tanh(1 / x) x", [](auto& x) { return tanh(1 / x) * x; }},
      {"logaddexp(x, 1 / x)", [](auto& x) { return logaddexp(x, 1 / x); }},
      {"sin(ln)", [](auto& x) { return 1 - sin(log(x)); }},
      {"e^(1 / x) / x", [](auto& x) { return exp(1 / x) / x; }},
      {"xlogy", [](auto& x) { return xlogy(x, x); }},
      {"hypot", [](auto& x) { return hypot(x, x) * hypot(x, 0 * x); }},
      {"pow", [](auto& x) { return pow(x, x - 1); }},
      {"relu of a root", [](auto& x) { return relu(sqrt(x) + 1) * log(x); }},
      {"softmax", [&](auto& x) { return flat(softmax(column(log(x)), 1) * column(sqrt(x))); }},
      {"log_softmax",
       [&](auto& x) {
         return sum(log_softmax(concat({column(1 / x), column(x)}, 1), 1), 1);
       }},
      {"norm", [&](auto& x) { return square(norm(column(x), 1)) * norm(column(sqrt(x)), 1); }},
      {"std",
       [&](auto& x) {
         return stddev(concat({column(sqrt(x)), column(1 / x)}, 1), 1);
       }},
      {"logsumexp",
       [&](auto& x) {
         return logsumexp(concat({column(x), column(log(x))}, 1), 1);
       }},
      {"prod",
       [&](auto& x) {
         return prod(concat({column(sqrt(x)), column(log(x))}, 1), 1);
       }},
      {"max",
       [&](auto& x) {
         return max(concat({column(sqrt(x)), column(x - 9)}, 1), 1);
       }},
      {"matmul",
       [&](auto& x) { return flat(matmul(column(sqrt(x)), matmul(weight, weight)) * column(sqrt(x))); }},
      {"affine", [&](auto& x) { return flat(square(affine(column(1 / x), weight, reshape(weight, {1})))); }},
      {"cumsum", [&](auto& x) { return flat(square(cumsum(column(log(x + 1) * sqrt(x)), 1))); }},
      {"max of products",
       [&](auto& x) {
         return square(max(concat({column(5 + x), column(log(x + 1) * sqrt(x))}, 1), 1));
       }},
      {"dropout", [&](auto& x) { return square(dropout(sqrt(x) + 1, 0.5, generator)); }},
      {"cbrt", [](auto& x) { return cbrt(x) * cbrt(x); }},
      {"map", [](auto& x) { return map([](auto v) { return log(v) * sqrt(v) / v; }, x); }},
  };
  for (const auto& [name, f] : all)
    for (const double x : {0.0, -0.0, -1.0}) BOOST_TEST_CONTEXT(name << " at " << x) {
        const Function masked = [&f = f](const Tensor& t) { return where(t > 0.25, f(t), t * t * t); };
        const std::vector<double> d = derivatives(masked, x, 0.5, f64);
        BOOST_TEST(d[0] == 3 * x * x);
        BOOST_TEST(d[1] == 6 * x);
        BOOST_TEST(d[2] == 6);
      }
}

// The second derivative is 2 for each but where there is another beside it; of P nothing may show.
BOOST_AUTO_TEST_CASE(what_is_masked_within_an_operation_contributes_nothing) {
  const auto p = [](const Tensor& x) { return log(x + 1) * sqrt(x); };
  const std::vector<std::pair<const char*, Function>> all{
      {"max",
       [&](auto& x) {
         return square(max(concat({5 + x, p(x)}, 0)));
       }},
      {"min",
       [&](auto& x) {
         return square(min(concat({-5 + x, p(x)}, 0)));
       }},
      {"cumsum",
       [&](auto& x) {
         return slice(square(cumsum(concat({5 + x, p(x)}, 0), 0)), 0, 0, 1);
       }},
      {"a row of vector_norm",
       [](auto& x) {
         return slice(square(vector_norm(reshape(concat({5 + x, 1 / x}, 0), {2, 1}), 3, 1)), 0, 0, 1);
       }},
      {"map of where",
       [](auto& x) {
         return square(map([](auto a, auto b) { return where(b > 0, sqrt(b) * a, a); }, 5 + x, sqrt(x)));
       }},
      {"map of relu",
       [](auto& x) { return square(5 + x + map([](auto a) { return relu(a - 1); }, sqrt(x))); }},
      {"map of maximum",
       [](auto& x) { return square(map([](auto a, auto b) { return maximum(a, b); }, 5 + x, sqrt(x))); }},
      {"map of clamp",
       [](auto& x) { return square(4 + x + map([](auto a) { return clamp(a, 1, 2); }, sqrt(x))); }},
  };
  for (const auto& [name, f] : all)
    for (const bool recorded : {false, true}) BOOST_TEST_CONTEXT(name << (recorded ? ", recorded" : "")) {
        Tape tape;
        const Tensor x = tape.watch(Tensor::from({0}, f64));
        const Tensor first = tape.grad(sum(f(x)), x, {.record = recorded ? Record::yes : Record::no});
        BOOST_TEST(std::abs(numbers(first)[0]) == 10);
        if (recorded) BOOST_TEST(numbers(tape.grad(first, x))[0] == 2);
      }
}

BOOST_AUTO_TEST_CASE(targets_of_zero_ask_for_nothing) {
  const auto root = [](const Tensor& x) { return reshape(sqrt(x), {1, 1}); };
  const auto beside = [](double v) { return Tensor::from({v}, Shape{1, 1}, f64); };
  const Tensor ignored = Tensor::from({0, -1}, i64);
  const std::vector<std::pair<const char*, Function>> all{
      {"softmax_with_loss",
       [&](auto& x) {
         const Tensor row = concat({root(x), beside(3)}, 1);
         return softmax_with_loss(concat({Tensor::from({1, 2}, Shape{1, 2}, f64), row}, 0), ignored,
                                  {.ignore_index = -1});
       }},
      {"nll_loss",
       [&](auto& x) {
         const Tensor row = concat({root(x), root(x)}, 1);
         return square(nll_loss(concat({Tensor::from({-1, -2}, Shape{1, 2}, f64), row}, 0), ignored,
                                {.ignore_index = -1}));
       }},
      {"another class",
       [&](auto& x) {
         return square(nll_loss(concat({beside(-0.5), root(x)}, 1), Tensor::from({0}, i64)));
       }},
      {"cross_entropy",
       [&](auto& x) {
         return -square(cross_entropy(concat({beside(0.5), root(x)}, 1), Tensor::from({0}, i64)));
       }},
      {"cross_entropy",
       [&](auto& x) {
         return square(cross_entropy(concat({beside(0.5), root(x)}, 1), Tensor::from({0}, i64)));
       }},
  };
  for (const auto& [name, f] : all) BOOST_TEST_CONTEXT(name) {
      const std::vector<double> d =
          derivatives([&f = f](const Tensor& t) { return f(slice(t, 0, 1, 2)); }, 0, 1, f64);
      BOOST_TEST(d == std::vector<double>(3));
    }
}

// A zero that a rule has made by a product or a negation is not nothing.
BOOST_AUTO_TEST_CASE(no_rule_makes_nothing_of_a_smooth_zero) {
  const auto root = [](const Tensor& x) { return sqrt(x * x); };
  const auto second = [](const Function& f) {
    Tape tape;
    const Tensor x = tape.watch(Tensor::from({0}, f64));
    return numbers(tape.grad(tape.grad(sum(f(x)), x, {.record = Record::yes}), x))[0];
  };
  const double of_log_softmax = second([&](const Tensor& x) {
    const Tensor y = log_softmax(concat({root(x), Tensor::from({-1000}, f64)}, 0), 0);
    return sum(square(y - y.detach()));
  });
  BOOST_TEST((std::isnan(of_log_softmax) || of_log_softmax == 2));
  const double of_batch_norm = second([&](const Tensor& x) {
    const Tensor column = concat({reshape(root(x), {1, 1}), Tensor::from({1, 3}, Shape{2, 1}, f64)}, 0);
    const Tensor y = batch_norm(column, Tensor::from({-1}, f64), Tensor::from({0}, f64)).y;
    return sum(square(y - y.detach()));
  });
  BOOST_TEST((std::isnan(of_batch_norm) || of_batch_norm > 0.3));
  // The mixed derivative of cross entropy at a target of 0, in both orders.
  for (const double sign : {1.0, -1.0}) {
    Tape tape;
    const Tensor y = tape.watch(Tensor::from({0.25, 0.75}, Shape{1, 2}, f64));
    const Tensor t = tape.watch(Tensor::from({0, 1}, Shape{1, 2}, f64));
    const Tensor loss = sign * cross_entropy(y, t);
    const Tensor dy = tape.grad(loss, y, {.record = Record::yes}),
                 dt = tape.grad(loss, t, {.record = Record::yes});
    for (const Tensor& mixed : {tape.grad(sum(dy), t), tape.grad(sum(dt), y)})
      check_tensor(mixed, {1, 2}, {-sign / (0.25 + 1e-7), -sign / (0.75 + 1e-7)}, 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(a_zero_that_means_nothing) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({-1, 2, 3}, f64));
  const auto nothing = [&](const Tensor& y) { return numbers(detail::is_nothing(tape.grad(sum(y), x))); };
  const std::vector<double> first{1, 0, 0};
  BOOST_TEST(nothing(relu(x)) == first);
  BOOST_TEST(nothing(where(x < 0, 0, -sin(x))) == first);
  BOOST_TEST(nothing(clamp(-x, -5, 0)) == first);
  BOOST_TEST(nothing(slice(exp(x), 0, 1)) == first);
  BOOST_TEST(nothing(gather(sqrt(x * x), 0, Tensor::from({2, 1}, i64))) == first);
  BOOST_TEST(nothing(index_select(-x, 0, Tensor::from({2, 1}, i64))) == first);
  BOOST_TEST(nothing(maximum(x, 0)) == first);
  // Of two, one that is smooth: 0, and not nothing.
  BOOST_TEST(nothing(relu(x) + square(x + 1)) == std::vector<double>(3));
}

BOOST_AUTO_TEST_CASE(a_constant_cotangent_of_zero_asks_for_nothing) {
  // Row 1 of the Hessian of |x|^2 by way of roots: that of an ordinary element beside a singular one.
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({0, 3}, f64));
  const Tensor g = tape.grad(sum(square(sqrt(x * x))), x, {.record = Record::yes});
  for (const double zero : {0.0, -0.0}) {
    const std::vector<double> row = numbers(tape.grad(g, x, {.cotangent = Tensor::from({zero, 1}, f64)}));
    BOOST_TEST((row[0] == 0 && near(row[1], 2, 1e-15)));
  }
  BOOST_TEST(std::isnan(numbers(tape.grad(g, x, {.cotangent = Tensor::from({1, 0}, f64)}))[0]));
}

BOOST_AUTO_TEST_CASE(the_condition_of_where_gets_nothing_of_an_infinite_gradient) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({1, 4}, f64));
  // The gradient of what is selected, at 0, is infinite.
  const std::vector<double> g = numbers(tape.grad(sum(sqrt(where(x, x.detach() * 0, 1))), x));
  BOOST_TEST((g[0] == 0 && g[1] == 0));
}

BOOST_AUTO_TEST_CASE(sums_of_nothing) {
  BOOST_TEST(!std::signbit(sum(Tensor::zeros({0}, f64)).item()));
  BOOST_TEST(!std::signbit(numbers(sum(Tensor::zeros({2, 0}, f32), 1))[1]));
  BOOST_TEST(!std::signbit(numbers(sum(Tensor::from({-0.0, 0.0}, f64)))[0]));
  BOOST_TEST(sum(Tensor::zeros({0}, i64)).item() == 0);
}

// Also where the derivative of a gradient is taken forward, or for what a gradient was multiplied by.
BOOST_AUTO_TEST_CASE(by_every_way_to_a_second_derivative) {
  const std::vector<Function> twice_the_identity{
      [](auto& x) { return square(norm(x)); },
      [](auto& x) { return sum(square(sqrt(x * x))); },
      [](auto& x) { return sum(square(square(sqrt(x)))); },
      [](auto& x) { return sum(exp(2 * log(x))); },
      [](auto& x) { return sum(pow(pow(x, 0.5), 4)); },
      [](auto& x) { return sum(square(hypot(x, 0 * x))); },
  };
  const Tensor at = Tensor::zeros({2}, f64), v = Tensor::from({1, 2}, f64);
  for (std::size_t i = 0; i < twice_the_identity.size(); ++i) BOOST_TEST_CONTEXT("function " << i) {
      const Function& f = twice_the_identity[i];
      const auto check = [](const Tensor& have, double factor) {
        for (std::size_t k = 0; k < 2; ++k) {
          const double d = numbers(have)[k], expected = factor * static_cast<double>(k + 1);
          BOOST_TEST((std::isnan(d) || d == expected), "[" << k << "] is " << d << ", not " << expected);
        }
      };
      check(jvp([&](const Tensor& x) { return gradient(f, x); }, at, v).tangent, 2);
      check(hvp(f, at, v), 2);
      // d/da of v' H v, with H that of a f.
      for (const double weight : {0.0, 1.0}) {
        Tape tape;
        const Tensor x = tape.watch(at), a = tape.watch(Tensor::scalar(weight, f64));
        const Tensor first = tape.grad(a * f(x), x, {.record = Record::yes});
        const Tensor second = tape.grad(first, x, {.cotangent = v, .record = Record::yes});
        const double d = tape.grad(sum(second * v), a).item();
        BOOST_TEST((std::isnan(d) || d == 10), "for the weight " << weight << " it is " << d);
      }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace smooth_zero_test
