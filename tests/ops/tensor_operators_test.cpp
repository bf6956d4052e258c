#include <cmath>
#include <type_traits>

#include <tapegrad/gradcheck/check.h>

#include "op_support.h"

namespace tensor_operators_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

template <class T>
concept assignable_entry = requires(T t, Tensor x) {
  t[0] = x;
};
template <class T>
concept addable_entry = requires(T t, Tensor x) {
  t[0] += x;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tensor_operators)

BOOST_AUTO_TEST_CASE(an_index_takes_an_entry_of_the_leading_axis) {
  const Tensor x = Tensor::from({{1, 2, 3}, {4, 5, 6}}, f64);
  check_tensor(x[1], {3}, {4, 5, 6});
  check_tensor(x[-2], {3}, {1, 2, 3});
  BOOST_TEST(x[1][2].item() == 6);
  check_tensor(Tensor::from({7, 8}, i64)[1], {}, {8});
  BOOST_TEST(to_string(Tensor::zeros({2, 0, 3})[0].shape()) == "[0, 3]");
  check_tensor(derivative([](const Tensor& t) { return square(t[1]) * t[0]; }, x), {2, 3},
               {16, 25, 36, 8, 20, 36});
  const auto report = gradcheck::check([](const Tensor& t) { return sin(t[0] * t[-1]); }, {x}, {.order = 2});
  BOOST_TEST(report.ok(), report.text());
  // It shares the elements, but is no place to assign to.
  Tensor y = x.copy();
  Tensor row = y[0];
  row.mutable_values<double>()[1] = 20;
  check_tensor(y, {2, 3}, {1, 20, 3, 4, 5, 6});
  static_assert(!assignable_entry<Tensor> && !addable_entry<Tensor>);
}

BOOST_AUTO_TEST_CASE(an_index_outside_is_named) {
  const Tensor x = Tensor::zeros({2, 3});
  BOOST_CHECK_EXCEPTION(x[2], ArgumentError, mentions("operator[]", "index 2", "axis 0", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(x[-3], ArgumentError, mentions("operator[]", "index -3"));
  BOOST_CHECK_EXCEPTION(Tensor::zeros({0, 3})[0], ArgumentError, mentions("operator[]", "[0, 3]"));
  BOOST_CHECK_EXCEPTION(Tensor::scalar(1)[0], ArgumentError, mentions("operator[]", "scalar", "item()"));
  BOOST_CHECK_EXCEPTION(Tensor()[0], ArgumentError, mentions("operator[]", "undefined"));
}

BOOST_AUTO_TEST_CASE(a_compound_assignment_is_the_operation_and_an_assignment) {
  const Tensor b = Tensor::from({2, 4}, f64);
  Tensor a = Tensor::from({{1, 2}, {3, 4}}, f64);
  const Tensor before = a;
  a += b;
  check_tensor(a, {2, 2}, {3, 6, 5, 8});
  a -= 1;
  check_tensor(a, {2, 2}, {2, 5, 4, 7});
  a *= b;
  check_tensor(a, {2, 2}, {4, 20, 8, 28});
  a /= b;
  check_tensor(a, {2, 2}, {2, 5, 4, 7});
  a *= 2;
  a -= b;
  a /= 2;
  a += 0.5;
  check_tensor(a, {2, 2}, {1.5, 3.5, 3.5, 5.5});
  check_tensor(before, {2, 2}, {1, 2, 3, 4});  // of another handle nothing changes
  Tensor whole = Tensor::from({1, 2}, i64);
  (whole += 3) *= 2;
  check_tensor(whole, {2}, {8, 10});
  Tensor itself = b;
  itself += itself;
  check_tensor(itself, {2}, {4, 8});
}

BOOST_AUTO_TEST_CASE(a_compound_assignment_leaves_the_shape) {
  const Tensor b = Tensor::from({2, 4}, f64);
  Tensor small = Tensor::scalar(1, f64);
  BOOST_CHECK_EXCEPTION(small += b, ShapeError, mentions("+=", "[] and [2]", "a = a + b"));
  BOOST_CHECK_EXCEPTION(small -= b, ShapeError, mentions("-="));
  BOOST_CHECK_EXCEPTION(small *= b, ShapeError, mentions("*="));
  BOOST_CHECK_EXCEPTION(small /= b, ShapeError, mentions("/=", "a = a / b"));
  Tensor column = Tensor::ones({2, 1}, f64);
  BOOST_CHECK_EXCEPTION(column += b, ShapeError, mentions("[2, 1] and [2]", "[2, 2]"));
  check_tensor(small, {}, {1});
  check_tensor(column, {2, 1}, {1, 1});
}

BOOST_AUTO_TEST_CASE(a_compound_assignment_is_recorded) {
  const Tensor x = Tensor::from({1, 2, 3}, f64);
  const auto f = [](const Tensor& t) {
    Tensor y = square(t);
    y += t;
    y *= y;
    y /= t;
    y -= 2 * t;
    return y;  // t (t + 1)^2 - 2 t
  };
  check_tensor(derivative(f, x), {3}, {6, 19, 38});
  check_tensor(derivative(f, x, 2), {3}, {10, 16, 22});
  const auto report = gradcheck::check(f, {x}, {.order = 2});
  BOOST_TEST(report.ok(), report.text());
  const Parameter p(x);
  Tensor sum_of = Tensor::zeros(3, f64);
  Tape tape;
  sum_of += p;
  check_tensor(tape.grad(sum(sum_of), p), {3}, {1, 1, 1});
  Tensor wrong = Tensor::zeros({2});
  BOOST_CHECK_EXCEPTION(wrong += Tensor::zeros({3}), ShapeError, mentions("add", "[2]", "[3]"));
  BOOST_CHECK_EXCEPTION(wrong *= Tensor::zeros({2}, f64), DtypeError, mentions("mul", "f32", "f64"));
  check_tensor(wrong, {2}, {0, 0});
}

BOOST_AUTO_TEST_CASE(a_number_can_be_raised_to_a_tensor) {
  const Tensor y = Tensor::from({-1, 0, 0.5, 3}, f64);
  check_tensor(pow(2, y), {4}, {0.5, 1, std::sqrt(2), 8});
  check_tensor(pow(0.5F, cast(y, f32)), {4}, {2, 1, std::sqrt(0.5), 0.125});
  check_tensor(pow(-2, Tensor::from({2, 3, 0.5}, f64)), {3}, {4, -8, kNan});
  check_tensor(pow(0, Tensor::from({0, 2}, f64)), {2}, {1, 0});
  check_tensor(pow(2, Tensor::from({1023, -1074, 1024}, f64)), {3}, {0x1p1023, 0x1p-1074, kInf});
  check_tensor(derivative([](const Tensor& t) { return pow(3, t); }, y), {4},
               {std::log(3) / 3, std::log(3), std::log(3) * std::sqrt(3), std::log(3) * 27});
  for (const double base : {2.0, 0.1, 30.0}) {
    const auto report = gradcheck::check([=](const Tensor& t) { return pow(base, t); }, {y}, {.order = 2});
    BOOST_TEST(report.ok(), report.text());
  }
  BOOST_CHECK_EXCEPTION(pow(2.5, Tensor::zeros(2, i64)), DtypeError, mentions("pow", "2.5"));
}

BOOST_AUTO_TEST_CASE(a_number_is_the_shape_of_a_vector) {
  check_tensor(Tensor::zeros(3), {3}, {0, 0, 0});
  check_tensor(Tensor::ones(2, f64), {2}, {1, 1});
  check_tensor(Tensor::full(2, 7, i64), {2}, {7, 7});
  BOOST_TEST(Tensor::empty(std::size_t{4}).size() == 4);
  check_tensor(reshape(Tensor::from({{1, 2}, {3, 4}}), 4), {4}, {1, 2, 3, 4});
  check_tensor(broadcast_to(Tensor::scalar(5), 2), {2}, {5, 5});
  Generator rng(1);
  BOOST_TEST(to_string(randn(5, rng).shape()) == "[5]");
  BOOST_TEST(to_string(Shape{3}) == to_string(Shape(3)));
  BOOST_TEST(to_string(Tensor::zeros({}).shape()) == "[]");
  static_assert(!std::is_convertible_v<bool, Shape> && !std::is_convertible_v<double, Shape>);
  BOOST_CHECK_EXCEPTION(Tensor::zeros(-1), ShapeError, mentions("-1"));
}

BOOST_AUTO_TEST_CASE(linspace_divides_an_interval) {
  check_tensor(Tensor::linspace(0, 1, 5), {5}, {0, 0.25, 0.5, 0.75, 1});
  check_tensor(Tensor::linspace(3, -3, 4, f64), {4}, {3, 1, -1, -3});
  check_tensor(Tensor::linspace(2, 8, 3, i64), {3}, {2, 5, 8});
  check_tensor(Tensor::linspace(4, 9, 1), {1}, {4});
  check_tensor(Tensor::linspace(4, 9, 0), {0}, {});
  check_tensor(Tensor::linspace(5, 5, 3), {3}, {5, 5, 5});
  check_tensor(Tensor::linspace(-1e308, 1e308, 3, f64), {3}, {-1e308, 0, 1e308});
  for (const std::int64_t n :
       {2, 3, 10, 49, 1000}) {  // both ends are met, and the two halves mirror each other
    const Tensor x = Tensor::linspace(-0.1, 0.7, n, f64), back = Tensor::linspace(0.7, -0.1, n, f64);
    BOOST_TEST(x[0].item() == -0.1);
    BOOST_TEST(x[-1].item() == 0.7);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto exact =
          static_cast<double>(-0.1L + 0.8L * static_cast<long double>(i) / static_cast<long double>(n - 1));
      BOOST_TEST(near(x[i].item(), exact, 4e-16));
      if (2 * i != n - 1) BOOST_TEST(x[i].item() == back[n - 1 - i].item());
    }
  }
  BOOST_CHECK_EXCEPTION(Tensor::linspace(0, kInf, 3), ArgumentError, mentions("linspace", "inf"));
  BOOST_CHECK_EXCEPTION(Tensor::linspace(0, 1, -1), ArgumentError, mentions("linspace", "-1"));
  BOOST_CHECK_EXCEPTION(Tensor::linspace(0, 1, 3, i64), ArgumentError, mentions("linspace", "0.5", "i64"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tensor_operators_test
