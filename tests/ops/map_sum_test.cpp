// Formulas with their sum or mean in one pass: values and derivatives beside those of the sum of map, along every
// kind of axes, broadcast, of several blocks and for several threads.

#include <cmath>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/ops/map_sum.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include "op_support.h"

namespace map_sum_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

constexpr auto wave = [](auto x) { return sigmoid(1.5 * x + 0.5) * tanh(x) + relu(x); };
constexpr auto distance = [](auto y, auto t) {
  return where(abs(y - t) < 1, 0.5 * square(y - t), abs(y - t) - 0.5);
};
constexpr auto gated = [](auto a, auto b, auto c) { return a * sigmoid(b) + exp(c) * b; };

/// Values and gradients of both ways to write it, and of the second order where `second`.
template <class Fused, class Plain>
void check_same(const Fused& fused, const Plain& plain, const std::vector<Tensor>& inputs, double tolerance) {
  const auto all_of = [&](const auto& f) {
    std::vector<Tensor> all;
    Tape tape;
    std::vector<Tensor> x;
    for (const Tensor& in : inputs) x.push_back(tape.watch(in));
    const Tensor y = f(x);
    all.push_back(y);
    Tensor total = sum(y * y);
    for (int order = 1; order <= 2; ++order) {
      const std::vector<Tensor> g = tape.grad(total, x, {.record = order == 1 ? Record::yes : Record::no});
      total = Tensor::zeros({}, y.dtype());
      for (const Tensor& one : g) {
        all.push_back(one.detach());
        total = total + sum(square(one));
      }
    }
    Tape plain_tape;  // the first order alone, by the fused rule
    std::vector<Tensor> w;
    for (const Tensor& in : inputs) w.push_back(plain_tape.watch(in));
    for (const Tensor& one : plain_tape.grad(sum(square(f(w))), w)) all.push_back(one);
    return all;
  };
  const std::vector<Tensor> expected = all_of(plain), actual = all_of(fused);
  BOOST_TEST_REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) BOOST_TEST_CONTEXT("result " << i) {
      const std::vector<double> e = numbers(expected[i]);
      double scale = 1;
      for (const double v : e) scale = std::max(scale, std::abs(v));
      check_tensor(actual[i] / scale, expected[i].shape(), numbers(expected[i] / scale), tolerance);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(map_sum)

BOOST_AUTO_TEST_CASE(is_the_sum_of_the_map) {
  for (const Dtype dtype : {f64, f32})
    for (const std::int64_t n : {0, 1, 7, 600, 40'001}) BOOST_TEST_CONTEXT(n) {
        const std::vector<Tensor> x{random({n}, dtype, -3, 3, 1)};
        const double tolerance = dtype == f64 ? 1e-12 : 3e-6;
        check_same([](const auto& in) { return tapegrad::map_sum(wave, in[0]); },
                   [](const auto& in) { return sum(map(wave, in[0])); }, x, tolerance);
        if (n > 0)
          check_same([](const auto& in) { return map_mean(wave, in[0]); },
                     [](const auto& in) { return mean(map(wave, in[0])); }, x, tolerance);
      }
}

BOOST_AUTO_TEST_CASE(along_axes) {
  const std::vector<Tensor> x{random({3, 10, 5, 30}, f64, -3, 3, 1)};
  for (const Axes& axes :
       {Axes{0}, Axes{1}, Axes{-1}, Axes{0, 2}, Axes{1, 3}, Axes{2, 3}, Axes{0, 1, 2, 3}, Axes{}}) {
    check_same([&](const auto& in) { return tapegrad::map_sum(wave, axes, in[0]); },
               [&](const auto& in) { return sum(map(wave, in[0]), axes); }, x, 1e-12);
    check_same([&](const auto& in) { return map_mean(wave, axes, in[0]); },
               [&](const auto& in) { return mean(map(wave, in[0]), axes); }, x, 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(of_several_inputs_that_broadcast) {
  const Tensor a = random({20, 1, 33}, f64, -2, 2, 1), b = random({60, 33}, f64, -2, 2, 2),
               c = random({}, f64, -1, 1, 3);
  check_same([](const auto& in) { return tapegrad::map_sum(distance, in[0], in[1]); },
             [](const auto& in) { return sum(map(distance, in[0], in[1])); }, {a, b}, 1e-12);
  for (const Axes& axes : {Axes::all(), Axes{0}, Axes{1}, Axes{2}, Axes{0, 1}})
    check_same([&](const auto& in) { return map_mean(gated, axes, in[0], in[1], in[2]); },
               [&](const auto& in) { return mean(map(gated, in[0], in[1], in[2]), axes); }, {a, b, c}, 1e-12);
  check_tensor(map_mean(distance, {0, 2}, a, b), {60}, numbers(mean(map(distance, a, b), {0, 2})), 1e-13);
  // An input that is a constant, and one that is there twice.
  Tape tape;
  const Tensor x = tape.watch(b);
  const Tensor y = tapegrad::map_sum(gated, x, b, x);
  const Tensor z = sum(map(gated, x, b, x));
  check_tensor(tape.grad(y, x) - tape.grad(z, x), {60, 33}, std::vector<double>(60 * 33, 0.0), 1e-13);
}

BOOST_AUTO_TEST_CASE(results_do_not_depend_on_the_number_of_threads) {
  const Tensor x = random({100, 1000}, f32, -3, 3, 1), t = random({1000}, f32, -3, 3, 2);
  const auto all = [&] {
    std::vector<double> v;
    Tape tape;
    const Tensor a = tape.watch(x), b = tape.watch(t);
    const Tensor y = tapegrad::map_sum(distance, a, b);
    v.push_back(y.item());
    for (const Tensor& g : tape.grad(y, {a, b}))
      for (const double value : numbers(g)) v.push_back(value);
    return v;
  };
  const int before = threads();
  set_threads(1);
  const std::vector<double> one = all();
  for (const int n : {2, 4}) {
    set_threads(n);
    BOOST_TEST((all() == one));
  }
  set_threads(before);
}

BOOST_AUTO_TEST_CASE(the_checker_finds_nothing) {
  const std::vector<Tensor> inputs{random({4, 3}, f64, -2, 2, 1), random({3}, f64, -2, 2, 2)};
  for (const bool mean : {false, true}) {
    const gradcheck::Report report = gradcheck::check(
        [&](std::span<const Tensor> in) {
          return mean ? map_mean(distance, 0, in[0], in[1]) : tapegrad::map_sum(distance, in[0], in[1]);
        },
        inputs, {.order = 2});
    BOOST_TEST((report.verdict() == gradcheck::Verdict::pass), report.text());
  }
}

BOOST_AUTO_TEST_CASE(losses_of_the_library_as_formulas) {
  const Tensor y = random({50, 10}, f64, -2, 2, 1), t = random({50, 10}, f64, 0, 1, 2);
  const auto check_loss = [&](const auto& formula, const auto& loss) {
    Tape tape;
    const Tensor x = tape.watch(y);
    const Tensor a = formula(x), b = loss(x);
    BOOST_TEST(near(a.item(), b.item(), 1e-14));
    check_tensor(tape.grad(a, x), {50, 10}, numbers(tape.grad(b, x)), 1e-14);
  };
  check_loss([&](const Tensor& x) { return map_mean([](auto a, auto b) { return square(a - b); }, x, t); },
             [&](const Tensor& x) { return mse_loss(x, t); });
  check_loss([&](const Tensor& x) { return map_mean(distance, x, t); },
             [&](const Tensor& x) { return huber_loss(x, t); });
  check_loss(
      [&](const Tensor& x) { return map_mean([](auto a, auto b) { return softplus(a) - a * b; }, x, t); },
      [&](const Tensor& x) { return binary_cross_entropy_with_logits(x, t); });
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = Tensor::ones({3, 2}, f64);
  BOOST_CHECK_EXCEPTION(tapegrad::map_sum(wave, Tensor::ones({3}, i64)), DtypeError,
                        mentions("map_sum", "i64"));
  BOOST_CHECK_EXCEPTION(tapegrad::map_sum(distance, x, Tensor::ones({2}, f32)), DtypeError,
                        mentions("map_sum", "f32"));
  BOOST_CHECK_EXCEPTION(tapegrad::map_sum(distance, x, Tensor::ones({3}, f64)), ShapeError,
                        mentions("map_sum", "[3, 2]", "[3]"));
  BOOST_CHECK_EXCEPTION(tapegrad::map_sum(wave, 2, x), ArgumentError, mentions("map_sum", "2"));
  BOOST_CHECK_EXCEPTION(map_mean(wave, Tensor::ones({0, 2}, f64)), ArgumentError,
                        mentions("map_mean", "[0, 2]"));
  BOOST_TEST(tapegrad::map_sum(wave, Tensor::ones({0, 2}, f64)).item() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace map_sum_test
