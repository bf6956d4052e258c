// Functions of scalars as one operation: values and gradients beside tensors and differences, several inputs and
// results.

#include <stdexcept>

#include <tapegrad/ops/functional/numeric.h>
#include <tapegrad/ops/scalar/scalar_function.h>
#include <tapegrad/tapegrad.h>

#include "op_support.h"
#include "rosenbrock_support.h"

namespace scalar_function_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(scalar_function)

BOOST_AUTO_TEST_CASE(value_and_gradient_are_those_of_tensors) {
  for (const Dtype dtype : {f64, f32}) {
    const Tensor at = random({50}, dtype, -2, 2, 1);
    const double tolerance = dtype == f64 ? 1e-12 : 1e-5;
    const auto scalars =
        value_and_gradient([](const Tensor& p) { return tapegrad::scalar_function(rosenbrock, p); }, at);
    const auto tensors = value_and_gradient(rosenbrock_of_tensors, at);
    BOOST_TEST((scalars.value.dtype() == dtype));
    check_tensor(scalars.value, {}, numbers(tensors.value), tolerance);
    check_tensor(scalars.gradient, {50}, numbers(tensors.gradient), tolerance);
    check_tensor(tapegrad::scalar_function(rosenbrock, at), {}, numbers(tensors.value),
                 tolerance);  // without a tape
  }
}

BOOST_AUTO_TEST_CASE(several_inputs_of_any_shape_and_several_results) {
  const double scale = 3;
  const auto f = [scale]<class R>(std::span<const R> a, std::span<const R> b) -> std::vector<R> {
    R product = 1;
    for (const R& x : a) product *= x;
    R largest = b[0];
    for (const R& x : b)
      if (x > largest) largest = x;
    return {product * largest, scale * a[1], b[0] - b[0], 7};
  };
  const Tensor a = Tensor::from(std::vector{1.0, 2.0, 3.0, 4.0}, {2, 2}),
               b = Tensor::from(std::vector{0.5, 5.0}, {2});
  const Tensor g = Tensor::from(std::vector{1.0, 10.0, 100.0, 1000.0}, {4});
  for (const double uses : {1, 2}) {
    Tape tape;
    const Tensor x = tape.watch(a), w = tape.watch(b);
    Tensor y = tapegrad::scalar_function(f, x, w);
    check_tensor(y, {4}, {120, 6, 0, 7});
    if (uses == 2) y = y + tapegrad::scalar_function(f, x, w);
    const Gradients grads = tape.backward(y, g);
    check_tensor(grads[x], {2, 2}, {120 * uses, 90 * uses, 40 * uses, 30 * uses});
    check_tensor(grads[w], {2}, {0, 24 * uses});
  }
  // One of the inputs alone is tracked.
  Tape tape;
  const Tensor w = tape.watch(b);
  const Tensor y = tapegrad::scalar_function(f, a, w);
  check_tensor(tape.backward(y, g)[w], {2}, {0, 24});
  check_tensor(tapegrad::scalar_function(
                   []<class R>(std::span<const R>) {
                     return std::array<R, 2>{1, 2};
                   },
                   Tensor::zeros({0}, f64)),
               {2}, {1, 2});
}

BOOST_AUTO_TEST_CASE(gradients_are_what_differences_show) {
  // Lotka-Volterra, by steps of Runge and Kutta: what is left of both after a while, from the rates and the start.
  const auto f = []<class R>(std::span<const R> p) -> std::vector<R> {
    R x = p[4], y = p[5];
    const double h = 0.05;
    for (int i = 0; i < 40; ++i) {
      const auto step = [&](const R& a, const R& b, R& da, R& db) {
        da = p[0] * a - p[1] * a * b;
        db = p[2] * a * b - p[3] * b;
      };
      R x1, y1, x2, y2, x3, y3, x4, y4;
      step(x, y, x1, y1);
      step(x + h / 2 * x1, y + h / 2 * y1, x2, y2);
      step(x + h / 2 * x2, y + h / 2 * y2, x3, y3);
      step(x + h * x3, y + h * y3, x4, y4);
      x += h / 6 * (x1 + 2 * x2 + 2 * x3 + x4);
      y += h / 6 * (y1 + 2 * y2 + 2 * y3 + y4);
    }
    return {x, y};
  };
  const Tensor p = Tensor::from(std::vector{1.1, 0.4, 0.1, 0.4, 10.0, 5.0}, {6});
  const auto loss = [&](const Tensor& at) { return sum(square(tapegrad::scalar_function(f, at))); };
  check_tensor(gradient(loss, p), {6}, numbers(numerical_gradient(loss, p)), 1e-6);
}

BOOST_AUTO_TEST_CASE(what_is_refused_and_what_is_left_behind) {
  const Tensor p = Tensor::ones({3}, f64);
  BOOST_CHECK_EXCEPTION(tapegrad::scalar_function(rosenbrock, Tensor::ones({3}, i64)), DtypeError,
                        mentions("scalar_function", "i64"));
  BOOST_CHECK_EXCEPTION(
      tapegrad::scalar_function([]<class R>(std::span<const R> a, std::span<const R>) { return a[0]; }, p,
                                Tensor::ones({3}, f32)),
      DtypeError, mentions("scalar_function", "f32"));
  BOOST_CHECK_THROW(tapegrad::scalar_function(rosenbrock, Tensor()), Error);
  Tape tape;
  const Tensor x = tape.watch(p);
  BOOST_CHECK_THROW(tapegrad::scalar_function(
                        []<class R>(std::span<const R> a) {
                          if (a[0] > 0) throw std::runtime_error("no");
                          return a[0];
                        },
                        x),
                    std::runtime_error);
  BOOST_TEST(detail::ScalarRecord<double>::active() == nullptr);
  const Tensor y = tapegrad::scalar_function(rosenbrock, x);
  check_tensor(tape.grad(y, x), {3}, {0, 0, 0});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace scalar_function_test
