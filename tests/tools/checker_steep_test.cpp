// Wrong derivatives beside others that are much larger, and points where the gradient is not finite or where
// elements tie; each beside a right twin.

#include <cmath>
#include <limits>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include "wrong_rules.h"

namespace checker_steep_test {

using namespace test_gradcheck;
using gradcheck::check;

namespace {

Tensor values(std::initializer_list<double> v) { return Tensor::from(v, f64); }

/// x^2, whose gradient is `factor` times too large.
struct ScaledSquare : Unary {
  static constexpr auto name = "scaled_square";
  double factor = 1;
  auto f(auto x) const { return x * x; }
  auto vjp(auto g, auto x, auto) const { return factor * 2 * g * x; }
};
Tensor scaled_square(const Tensor& x, double factor) { return apply_op(ScaledSquare{{}, factor}, x); }

/// sin x, of which a number on the way leaves few digits; its gradient is multiplied by a factor.
struct RoundedSine : Unary {
  static constexpr auto name = "rounded_sine";
  double on_the_way = 0, factor = 1;
  auto f(auto x) const { return (sin(x) + on_the_way) - on_the_way; }
  auto vjp(auto g, auto x, auto) const { return factor * g * cos(x); }
};

/// 2 x, whose gradient is not finite.
struct Infinite : Unary {
  static constexpr auto name = "infinite";
  double value = 0;
  auto f(auto x) const { return 2 * x; }
  auto vjp(auto g, auto, auto) const { return g * value; }
};

struct OneOfMany : SquareBase {  // one element is off by 1e-6
  static constexpr auto name = "one_of_many";
  static void vjp(VjpContext<OneOfMany>& ctx) {
    Tensor g = right_gradient(ctx).copy();
    if (g.dtype() == f64 && g.size() > 5) detail::TensorAccess::data_as<double>(g)[5] *= 1 + 1e-6;
    ctx.add(0, g);
  }
};
struct TiesTakeAll : Faulty {  // a maximum that gives each tied element the whole gradient
  static constexpr auto name = "ties_take_all";
  static Tensor forward(const Tensor& x) { return max(x); }
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static void vjp(VjpContext<TiesTakeAll>& ctx) {
    const Tensor largest = cast(equal(ctx.input<0>(), ctx.output()), ctx.input_dtype(0));
    ctx.add(0, mul(ctx.grad_output(), largest));
  }
};

template <class F>
void expect_rejected(F&& f, const std::vector<Tensor>& in, const char* what) {
  for (const Mode mode : kModes) {
    const Report r = check(f, in, {.mode = mode, .properties = false});
    BOOST_TEST(gradcheck::name_of(r.verdict()) == "FAIL",
               what << ", mode " << static_cast<int>(mode) << ": " << r.text());
  }
}
template <class F>
void expect_not_wrong(F&& f, const std::vector<Tensor>& in, const char* what) {
  for (const Mode mode : kModes)
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Report r = check(f, in, {.mode = mode, .seed = seed, .properties = false});
      BOOST_TEST(r.count(Verdict::fail) == 0u,
                 what << ", mode " << static_cast<int>(mode) << ": " << r.text());
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(checker_steep)

BOOST_AUTO_TEST_CASE(a_steep_input_hides_no_other) {
  const Tensor x = values({1e-20, 0.5, 2}), w = values({0.7, -1.3});
  const auto logs = [](double factor) {
    return [factor](const Tensor& a, const Tensor& b) { return sum(log(a)) + sum(scaled_square(b, factor)); };
  };
  expect_rejected(logs(0), {x, w}, "log beside zero");
  expect_rejected(logs(1.001), {x, w}, "log beside 1.001");
  expect_not_wrong(logs(1), {x, w}, "log");
  const auto roots = [](double factor) {
    return [factor](const Tensor& a, const Tensor& b) {
      return sum(sqrt(a)) * 1e6 + sum(scaled_square(b, factor));
    };
  };
  expect_rejected(roots(2), {values({1e-30, 1}), w}, "root");
  expect_not_wrong(roots(1), {values({1e-30, 1}), w}, "root");
}

BOOST_AUTO_TEST_CASE(a_large_term_hides_no_other) {
  const Tensor x = values({0.3, 1}), w = values({0.7, -1.3});
  const auto with = [](double factor) {
    return [factor](const Tensor& a, const Tensor& b) {
      return 1e6 * sum(exp(a)) + sum(scaled_square(b, factor));
    };
  };
  expect_rejected(with(1.5), {x, w}, "1e6 exp");
  expect_not_wrong(with(1), {x, w}, "1e6 exp");
  // What no double shows is not proven.
  const auto hopeless = [](const Tensor& a, const Tensor& b) {
    return 1e18 * sum(exp(a)) + sum(scaled_square(b, 2));
  };
  for (const Mode mode : kModes) BOOST_TEST(!check(hopeless, {x, w}, {.mode = mode}).ok());
}

BOOST_AUTO_TEST_CASE(a_small_result_beside_large_ones) {
  const auto with = [](double factor) {
    return [factor](const Tensor& x) { return concat({1e7 * exp(x), 1e-7 * scaled_square(x, factor)}); };
  };
  expect_rejected(with(1.01), {some({4})}, "small result");
  expect_not_wrong(with(1), {some({4})}, "small result");
}

// A gradient of 0 is excused by the rounding of the very number that it is of, and by no other's.
BOOST_AUTO_TEST_CASE(a_lost_gradient_beside_a_large_one) {
  for (const double large : {1.0, 1e6, 1e12})
    for (const double on_the_way : {1e6, 1e9, 1e12}) {
      const auto with = [&](double factor) {
        return [=](const Tensor& a, const Tensor& b) {
          return concat({large * exp(a), apply_op(RoundedSine{{}, on_the_way, factor}, b)});
        };
      };
      const std::vector<Tensor> in{values({0.3, 0.7}), values({0.4, 0.9})};
      for (const Mode mode : {Mode::automatic, Mode::exhaustive}) {
        const Report lost = check(with(0), in, {.mode = mode, .properties = false});
        BOOST_TEST(lost.count(Verdict::fail) + lost.count(Verdict::inconclusive) > 0u,
                   large << ", " << on_the_way << ": " << lost.text());
        const Report right = check(with(1), in, {.mode = mode, .properties = false});
        BOOST_TEST(right.count(Verdict::fail) == 0u, large << ", " << on_the_way << ": " << right.text());
        // To as many digits as there are.
        BOOST_TEST(
            check(with(1), in, {.rtol = 0.1, .mode = mode, .properties = false}).count(Verdict::fail) == 0u);
      }
      BOOST_TEST(!check(with(0), in, {.mode = Mode::fast, .properties = false}).ok());
    }
  // Right all the same: a derivative that is zero, beside a kink or between two steps.
  const auto flat = [](const Tensor& a, const Tensor& b) { return concat({1e6 * exp(a), relu(b)}); };
  const Report zero = check(flat, {values({0.3}), values({-0.001, 2})}, {.properties = false});
  BOOST_TEST(zero.ok(), zero.text());
}

BOOST_AUTO_TEST_CASE(one_element_of_hundreds_off_by_a_millionth) {
  for (const Mode mode : kModes)
    for (const std::int64_t n : {8, 300, 2000}) {
      CHECK_REJECTED(run<OneOfMany>({some({n}, 0.5, 2)}, {.mode = mode, .properties = false}));
      const Report right =
          run(std::vector{some({n}, 0.5, 2)}, {.mode = mode, .properties = false}, ScaledSquare{});
      BOOST_TEST(right.ok(), right.text());
    }
}

BOOST_AUTO_TEST_CASE(not_finite) {
  for (const double value :
       {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
    for (const Mode mode : kModes)
      CHECK_REJECTED(run(std::vector{some({3})}, {.mode = mode, .properties = false}, Infinite{{}, value}));
  // A constant that is not finite shows even behind a branch that is not taken; a singular point there does
  // not.
  const auto hidden = [](const Tensor& x) { return where(x > 0, x * (x * 0.0 / 0.0), 2 * x); };
  expect_rejected(hidden, {values({-1, -2})}, "where");
  const auto singular = [](const Tensor& x) { return where(x > 0, sqrt(x) / x, 2 * x); };
  expect_not_wrong(singular, {values({-1, -2})}, "where");
  // Where the function itself has no finite derivative nothing is known.
  expect_not_wrong([](const Tensor& x) { return sqrt(x); }, {values({0, 1})}, "root of 0");
}

BOOST_AUTO_TEST_CASE(ties) {
  for (const Mode mode : kModes)
    for (const auto& x : {values({3, 3, 1}), values({2, 2, 2, 2}), values({5, 1, 5, 0, 5})}) {
      CHECK_REJECTED(run<TiesTakeAll>({x}, {.mode = mode, .properties = false}));
      const Report right =
          check([](const Tensor& t) { return max(t); }, {x}, {.mode = mode, .properties = false});
      BOOST_TEST(right.count(Verdict::fail) == 0u, right.text());
    }
  // Kinks of single elements, also where they bend both ways, and zero is the convention.
  expect_not_wrong([](const Tensor& x) { return sum(relu(x)) - 2 * sum(relu(x * 0.5)); },
                   {values({0, 0, 0, 1})}, "relu");
  expect_not_wrong([](const Tensor& x) { return abs(x); }, {values({0, 1, 0, -1})}, "abs");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace checker_steep_test
