// Maps of up to eight tensors: all their gradients are made by one loop, whichever are needed, whatever the shapes.

#include <array>
#include <cmath>
#include <type_traits>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/ops/loops/isa.h>
#include <tapegrad/ops/map_sum.h>
#include <tapegrad/ops/threads.h>

#include "op_support.h"
#include "sample_support.h"

namespace map_several_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// A formula of any number of operands, each of which it treats in another way.
struct Mixed {
  auto operator()(const auto&... x) const {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      const auto sum = (... + ((1.0 + static_cast<double>(I)) * tanh(x)));
      return sum * exp(-0.1 * (... + square(x))) + (... * (1.5 + 0.25 * x));
    }
    (std::make_index_sequence<sizeof...(x)>());
  }
};

template <std::size_t N, class F>
Tensor call(const F& f, const std::vector<Tensor>& x) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return f(x[I]...); }
  (std::make_index_sequence<N>());
}
template <std::size_t N>
Tensor mapped(const std::vector<Tensor>& x) {
  return call<N>([](const auto&... t) { return map(Mixed(), t...); }, x);
}
template <std::size_t N>
Tensor plain(const std::vector<Tensor>& x) {
  return call<N>(Mixed(), x);
}
template <std::size_t N>
Tensor reduced(const std::vector<Tensor>& x) {
  return call<N>([](const auto&... t) { return map_mean(Mixed(), 0, t...); }, x);
}

/// The gradients of f for those inputs whose bits are set, the others being constants.
template <class F>
std::vector<Tensor> gradients(const F& f, const std::vector<Tensor>& inputs, unsigned tracked) {
  Tape tape;
  std::vector<Tensor> x = inputs, watched;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (tracked >> i & 1u) watched.push_back(x[i] = tape.watch(x[i]));
  const Tensor y = f(x);
  Generator g(77);
  return tape.grad(y, watched, {.cotangent = uniform(y.shape(), g, 0.5, 1.5, y.dtype())});
}

void check_same(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected, double tolerance) {
  BOOST_TEST_REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const std::vector<double> e = numbers(expected[i]);
    double scale = 1;
    for (const double v : e) scale = std::max(scale, std::abs(v));
    BOOST_TEST_CONTEXT("gradient " << i)
    check_tensor(actual[i] / scale, expected[i].shape(), numbers(expected[i] / scale), tolerance);
  }
}

std::vector<Tensor> inputs_of(const std::vector<Shape>& shapes, Dtype dtype) {
  std::vector<Tensor> x;
  for (std::size_t i = 0; i < shapes.size(); ++i) x.push_back(random(shapes[i], dtype, -1, 1, 10 + i));
  return x;
}

template <std::size_t N>
void check_shapes(const std::vector<Shape>& shapes, Dtype dtype) {
  BOOST_TEST_CONTEXT(N << " operands, first of shape " << to_string(shapes[0])) {
    const std::vector<Tensor> x = inputs_of(shapes, dtype);
    const double tolerance = dtype == f64 ? 1e-13 : 1e-5;
    const Tensor value = plain<N>(x);
    check_tensor(mapped<N>(x) / 100, value.shape(), numbers(value / 100), tolerance);
    check_same(gradients(mapped<N>, x, (1u << N) - 1), gradients(plain<N>, x, (1u << N) - 1), tolerance);
  }
}
template <std::size_t N>
void check_number() {
  for (const Dtype dtype : {f64, f32}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{8}, Shape{64}, Shape{700}})
      check_shapes<N>(std::vector<Shape>(N, shape), dtype);
    std::vector<Shape> shapes;
    for (std::size_t i = 0; i < N; ++i)
      shapes.push_back(std::array{Shape{6, 1, 35}, Shape{}, Shape{35}, Shape{9, 1}}[i % 4]);
    check_shapes<N>(shapes, dtype);
  }
}

template <std::size_t N>
void check_subsets(const std::vector<Shape>& shapes) {
  const std::vector<Tensor> x = inputs_of(shapes, f64);
  const std::vector<Tensor> all = gradients(plain<N>, x, (1u << N) - 1);
  for (unsigned tracked = 1; tracked < 1u << N; ++tracked) BOOST_TEST_CONTEXT("inputs " << tracked) {
      std::vector<Tensor> expected;
      for (std::size_t i = 0; i < N; ++i)
        if (tracked >> i & 1u) expected.push_back(all[i]);
      check_same(gradients(mapped<N>, x, tracked), expected, 1e-13);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(map_several)

BOOST_AUTO_TEST_CASE(of_two_to_eight_operands) {
  check_number<2>();
  check_number<3>();
  check_number<4>();
  check_number<5>();
  check_number<8>();
}

BOOST_AUTO_TEST_CASE(every_subset_of_inputs_that_needs_a_gradient) {
  check_subsets<3>(std::vector<Shape>(3, Shape{}));
  check_subsets<5>(std::vector<Shape>(5, Shape{}));
  check_subsets<8>(std::vector<Shape>(8, Shape{}));
  check_subsets<5>(std::vector<Shape>(5, Shape{9}));
  check_subsets<4>({Shape{3, 1}, Shape{}, Shape{5}, Shape{3, 5}});
}

BOOST_AUTO_TEST_CASE(large_ones_for_any_number_of_threads) {
  // The last is summed to half of the elements, which one thread does by itself.
  const std::vector<Tensor> x = inputs_of(
      {Shape{2, 170, 100}, Shape{100}, Shape{}, Shape{2, 170, 100}, Shape{170, 100}, Shape{2, 1, 100}}, f64);
  const std::vector<Tensor> expected = gradients(plain<6>, x, 63);
  const std::vector<Tensor> of_mean =
      gradients([](const std::vector<Tensor>& t) { return mean(plain<6>(t), 0); }, x, 63);
  const int before = threads();
  std::vector<std::vector<double>> first;
  for (const int n : {1, 2, 3}) {
    if (test::kSampled && n == 2) continue;
    set_threads(n);
    const std::vector<Tensor> g = gradients(mapped<6>, x, 63);
    check_same(g, expected, 1e-12);
    check_same(gradients(reduced<6>, x, 63), of_mean, 1e-12);
    std::vector<std::vector<double>> all;
    for (const Tensor& one : g) all.push_back(numbers(one));
    if (n == 1) first = all;
    BOOST_TEST((all == first));
  }
  set_threads(before);
}

BOOST_AUTO_TEST_CASE(one_tensor_as_several_operands) {
  for (const Shape& shape : {Shape{}, Shape{5}, Shape{1000}, Shape{40'000}}) {
    const auto twice = [](const auto& f) {
      return [f](const std::vector<Tensor>& x) { return f(x[0], x[1], x[0], x[0]); };
    };
    const auto formula = [](auto a, auto b, auto c, auto d) { return a * sin(b) + c * c * b + exp(d) * a; };
    const std::vector<Tensor> x{random(shape, f64, -1, 1, 1), random(Shape{}, f64, -1, 1, 2)};
    check_same(gradients(twice([&](const auto&... t) { return map(formula, t...); }), x, 3),
               gradients(twice(formula), x, 3), 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(gradients_are_added_to_those_that_are_there) {
  for (const std::int64_t n : {3, 600, 40'000}) {
    const auto both = [](const auto& f) {
      return [f](const std::vector<Tensor>& x) { return f(x[0], x[1]) * x[0] + square(x[1]); };
    };
    const auto formula = [](auto a, auto b) { return tanh(a * b) + a; };
    const std::vector<Tensor> x = inputs_of({Shape{n}, Shape{n}}, f64);
    check_same(gradients(both([&](const auto&... t) { return map(formula, t...); }), x, 3),
               gradients(both(formula), x, 3), 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(the_formula_is_evaluated_once_for_all_gradients) {
  int calls = 0;
  int* const count = &calls;
  const auto f = [count](auto a, auto b, auto c, auto d) {
    // Those of elements: what the function was is looked at in doubles.
    if constexpr (!std::is_same_v<decltype(a), tapegrad::detail::Real<double>>) ++*count;
    return a * b + c * d;
  };
  Tape tape;
  std::vector<Tensor> x;
  for (int i = 0; i < 4; ++i) x.push_back(tape.watch(Tensor::from({1.0 + i, 2.0})));
  const Tensor y = sum(map(f, x[0], x[1], x[2], x[3]));
  BOOST_TEST(calls == 2);
  (void)tape.grad(y, x);
  BOOST_TEST(calls == 4);
}

BOOST_AUTO_TEST_CASE(a_gradient_that_is_not_finite_names_its_input) {
  const auto f = [](auto a, auto b, auto c, auto d) { return a + b * c + sqrt(d) * c; };
  for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}}) {
    Tape tape;
    tape.check_finite();
    const Tensor a = tape.watch(Tensor::ones(shape, f64)), b = tape.watch(Tensor::ones({}, f64));
    const Tensor c = tape.watch(Tensor::ones(shape, f64)), zero = tape.watch(Tensor::zeros(shape, f64));
    BOOST_CHECK_EXCEPTION((void)tape.grad(sum(map(f, a, b, c, zero)), {a, b, c, zero}), NonFinite,
                          mentions("map", "inf", "of input 3"));
    // The tensor whose gradient becomes infinite is also the first operand, whose own part is not to blame.
    BOOST_CHECK_EXCEPTION((void)tape.grad(sum(map(f, zero, b, c, zero)), {zero, b, c}), NonFinite,
                          mentions("map", "inf", "of input 3"));
  }
}

BOOST_AUTO_TEST_CASE(the_checker_finds_nothing) {
  const std::vector<Tensor> x = inputs_of({Shape{2, 3}, Shape{3}, Shape{}, Shape{2, 1}, Shape{2, 3}}, f64);
  const gradcheck::Report report = gradcheck::check(
      [](std::span<const Tensor> in) { return mapped<5>(std::vector<Tensor>(in.begin(), in.end())); }, x,
      {.order = 2});
  BOOST_TEST((report.verdict() == gradcheck::Verdict::pass), report.text());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace map_several_test
