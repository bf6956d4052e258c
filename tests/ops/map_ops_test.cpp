// Fused elementwise functions against the same formulas on tensors.

#include <array>
#include <cmath>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/map.h>

#include "kernel_support.h"
#include "op_support.h"

namespace map_ops_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

Tensor some(const Shape& shape, double lo, double hi, std::uint64_t seed, Dtype dtype = f64) {
  Generator g(seed);
  return uniform(shape, g, lo, hi, dtype);
}

void check_close(const Tensor& a, const Tensor& b, double tolerance, const char* what) {
  BOOST_TEST_REQUIRE((a.shape() == b.shape()));
  double worst = 0;
  visit_floating(a.dtype(), [&]<class T> {
    for (std::size_t i = 0; i < a.values<T>().size(); ++i) {
      const double x = static_cast<double>(a.values<T>()[i]);
      const double y = static_cast<double>(b.values<T>()[i]);
      worst = std::max(worst, std::abs(x - y) / std::max(1.0, std::abs(y)));
    }
  });
  BOOST_TEST(worst <= tolerance, what << ": " << worst);
}

/// The value, the gradients and the second derivatives of map(f, x...) are those of f(x...) on tensors, and
/// they agree with finite differences.
template <class F, class... T>
void check_map(const char* what, const F& f, const T&... inputs) {
  const auto derivatives = [&](const auto& function) {
    Tape tape;
    const std::array x{tape.watch(inputs)...};
    const Tensor y = std::apply(function, x);
    std::vector<Tensor> all{y.detach()};
    const Tensor seed = some(y.shape(), 0.5, 1.5, 9, y.dtype());
    const std::vector<Tensor> first = tape.grad(y, x, {.cotangent = seed, .record = Record::yes});
    for (const Tensor& g : tape.grad(y, x, {.cotangent = seed})) all.push_back(g);  // the loops
    Tensor total = Tensor::scalar(0, y.dtype());
    for (const Tensor& g : first) {
      all.push_back(g.detach());
      if (g.tracked()) total = total + sum(square(g));
    }
    if (total.tracked())
      for (const Tensor& g : tape.grad(total, x)) all.push_back(g);
    return all;
  };
  const auto fused = [&](const auto&... x) { return map(f, x...); };
  const std::vector<Tensor> expected = derivatives(f);
  const std::vector<Tensor> actual = derivatives(fused);
  BOOST_TEST_REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) check_close(actual[i], expected[i], 1e-12, what);
  const gradcheck::Report report = gradcheck::check(
      [&](std::span<const Tensor> x) {
        return [&]<std::size_t... I>(std::index_sequence<I...>) { return fused(x[I]...); }
        (std::make_index_sequence<sizeof...(T)>{});
      },
      {inputs...}, {.order = 2});
  BOOST_TEST((report.verdict() == gradcheck::Verdict::pass), what << report.text());
}

constexpr auto kPositive = [] { return some({3, 7}, 0.1, 0.9, 1); };

}  // namespace

BOOST_AUTO_TEST_SUITE(map_ops)

BOOST_AUTO_TEST_CASE(each_function_of_one_number) {
  const Tensor input = kPositive();
#define CHECK(expression) \
  check_map(              \
      #expression, [](auto x) { return expression; }, input)
  CHECK(-x);
  CHECK(x + 2);
  CHECK(2 - x);
  CHECK(x - 2);
  CHECK(3 * x * x);
  CHECK(x / 2);
  CHECK(2 / x);
  CHECK(pow(x, 2.5));
  CHECK(square(x));
  CHECK(sqrt(x));
  CHECK(rsqrt(x));
  CHECK(exp(x));
  CHECK(expm1(x));
  CHECK(log(x));
  CHECK(log1p(x));
  CHECK(abs(x - 0.55) * x);
  CHECK(sign(x - 0.55) * x * x);
  CHECK(sin(x) * cos(x));
  CHECK(tan(x));
  CHECK(asin(x) * acos(x));
  CHECK(atan(x));
  CHECK(sinh(x) * cosh(x));
  CHECK(tanh(x));
  CHECK(erf(x) * erfc(x));
  CHECK(relu(x - 0.45) * x);
  CHECK(leaky_relu(x - 0.45) * x);
  CHECK(leaky_relu(x - 0.45, 0.3) * x);
  CHECK(elu(x - 0.45) * x);
  CHECK(elu(x - 0.45, 0.3) * x);
  CHECK(sigmoid(x));
  CHECK(softplus(x));
  CHECK(gelu(x));
  CHECK(silu(x));
  CHECK(step(x - 0.45) * x * x);
  CHECK(maximum(x * x, 0.3));
  CHECK(minimum(x * x, 0.3));
  CHECK(clamp(x * x, 0.2, 0.6));
  CHECK(where(x > 0.45, x * x, 2 * x));
  CHECK(where(0.45 <= x, x * x, 1));
  CHECK(where(x < 0.45, 1, x * x));
  CHECK(where(x != 0.45, x * x, 0) + where(x == 0.45, x, 0) + where(x >= 0.5, x * x, 0));
#undef CHECK
}

BOOST_AUTO_TEST_CASE(functions_of_two_and_three_with_broadcasting) {
  const Tensor a = some({4, 5}, 0.2, 2, 2);
  const Tensor b = some({5}, 0.3, 1.7, 3);
  const Tensor c = some({4, 1}, -1, 1, 4);
  check_map(
      "a + b", [](auto x, auto y) { return square(x + y); }, a, b);
  check_map(
      "a - b", [](auto x, auto y) { return square(x - y); }, a, b);
  check_map(
      "a * b", [](auto x, auto y) { return square(x * y); }, a, b);
  check_map(
      "a / b", [](auto x, auto y) { return x / y; }, a, b);
  check_map(
      "pow", [](auto x, auto y) { return pow(x, y); }, a, b);
  check_map(
      "maximum", [](auto x, auto y) { return maximum(x * x, y * y); }, a, b);
  check_map(
      "minimum", [](auto x, auto y) { return minimum(x * x, y * y); }, a, b);
  check_map(
      "where", [](auto x, auto y) { return where(x > y, x * y, y * y); }, a, b);
  check_map(
      "three", [](auto x, auto y, auto z) { return x * tanh(y * z) + z * z; }, a, b, c);
}

BOOST_AUTO_TEST_CASE(captured_constants) {
  const double scale = 1.5;
  const float shift = 0.5F;
  const int power = 2;
  check_map(
      "captures", [=](auto x) { return pow(sigmoid(scale * x + static_cast<double>(shift)), power); },
      kPositive());
}

BOOST_AUTO_TEST_CASE(a_result_that_does_not_depend_on_an_input) {
  Tape tape;
  const Tensor a = tape.watch(Tensor::from({1, 2}));
  const Tensor b = tape.watch(Tensor::from({3, 4}));
  const Tensor y = map([](auto x, auto) { return 2 * x; }, a, b);
  const std::vector<Tensor> g = tape.grad(y, {a, b}, {.cotangent = Tensor::ones({2})});
  BOOST_TEST(g[0].to_vector<float>() == std::vector<float>({2, 2}));
  BOOST_TEST(g[1].to_vector<float>() == std::vector<float>({0, 0}));
}

BOOST_AUTO_TEST_CASE(a_comparison_is_a_number) {
  const Tensor y = map([](auto x) { return x > 1; }, Tensor::from({0, 1, 2}));
  BOOST_TEST(y.to_vector<float>() == std::vector<float>({0, 0, 1}));
}

BOOST_AUTO_TEST_CASE(a_number_is_a_condition_as_on_tensors) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const Dtype dtype : {f32, f64}) {
    const Tensor t = Tensor::from({1, kNan, -2, kInf, 0}, dtype);
    const auto cleaned = [](auto x) { return where(isnan(x), 0, where(isinf(x), 5, x)); };
    const auto kept = [](auto x) { return where(isfinite(x), 2 * x, -1); };
    const auto by_number = [](auto x, auto y) { return where(x, y, 3 * y); };
    check_tensor(map(cleaned, t), {5}, {1, 0, -2, 5, 0}, 0);
    check_tensor(map(kept, t), {5}, {2, -1, -4, -1, 0}, 0);
    check_tensor(map(by_number, t, Tensor::ones({5}, dtype)), {5}, {1, 1, 1, 1, 3}, 0);
    Tape tape;
    const Tensor x = tape.watch(t);
    check_tensor(tape.grad(sum(map(cleaned, x)), x), {5}, {1, 0, 1, 0, 1}, 0);
  }
  const Tensor x = some({7, 3}, -2, 2, 31), y = some({3}, -2, 2, 32);
  check_map(
      "where(number)", [](auto a, auto b) { return where(a, a * b, b); }, x, y);
  check_map(
      "where(isfinite)", [](auto a, auto b) { return where(isfinite(a), a * b, b) + where(isnan(b), a, 1); },
      x, y);
}

BOOST_AUTO_TEST_CASE(one_node_that_keeps_its_inputs_alone) {
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({1, 2}));
  const std::size_t before = tape.size();
  (void)map([](auto v) { return sigmoid(v) * tanh(v) + relu(v); }, x);
  BOOST_TEST(tape.size() == before + 1);
}

BOOST_AUTO_TEST_CASE(every_instruction_set_and_length) {
  const auto f = [](auto x) { return sigmoid(1.5 * x + 0.5) * tanh(x) + relu(x); };
  for (const detail::Isa isa : test::usable_isas()) {
    const detail::Isa before = detail::set_isa(isa);
    for (const std::int64_t n : {0, 1, 7, 8, 63, 64, 65, 130, 40000}) {
      Tape tape;
      const Tensor x = tape.watch(some({n}, -3, 3, 5, f32));
      const Tensor plain = f(x);
      const Tensor fused = map(f, x);
      check_close(fused.detach(), plain.detach(), 1e-6, "value");
      const Tensor seed = Tensor::ones({n});
      check_close(tape.grad(fused, x, {.cotangent = seed}), tape.grad(plain, x, {.cotangent = seed}), 2e-6,
                  "gradient");
    }
    detail::set_isa(before);
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  const auto f = [](auto x, auto y) { return x * y; };
  BOOST_CHECK_EXCEPTION(map(f, Tensor::ones({2}), Tensor::ones({3})), ShapeError,
                        mentions("map", "[2]", "[3]"));
  BOOST_CHECK_EXCEPTION(map(f, Tensor::ones({2}), Tensor::ones({2}, f64)), DtypeError,
                        mentions("map", "f32", "f64"));
  BOOST_CHECK_EXCEPTION(map([](auto x) { return 2 * x; }, Tensor::ones({2}, i64)), DtypeError,
                        mentions("map", "i64"));
}

// At 0, where branches meet, each has its convention, at any order.
BOOST_AUTO_TEST_CASE(second_derivatives_of_activations_at_ties_are_those_of_the_operations) {
  const Tensor x = Tensor::from({-3, -1, -0.5, 0, 0.5, 1, 3, 6}, f64);
  const auto second = [&](const auto& f) {
    Tape tape;
    const Tensor leaf = tape.watch(x);
    const Tensor g = tape.grad(sum(f(leaf)), leaf, {.record = Record::yes});
    return tape.grad(sum(g), leaf);
  };
#define TAPEGRAD_ROW(function, ...)                                                                   \
  check_close(second([](const Tensor& v) { return map([](auto e) { return function(e) * e; }, v); }), \
              second([](const Tensor& v) { return function(v) * v; }), 1e-12, #function);
  TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
  TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
  TAPEGRAD_SLOPE_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace map_ops_test
