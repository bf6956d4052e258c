/// The numbers printed in and about Saito: Deep Learning from Scratch, 2016, chapters 4 and 5: numerical
/// differentiation, gradient descent, backpropagation layer by layer.
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/ops/functional/numeric.h>
#include <tapegrad/optim/descent.h>

#include "book_support.h"

namespace book_gradients_test {

using namespace tapegrad;
using namespace tapegrad::test;
using optim::Descent;
using optim::gradient_descent;
using optim::Outcome;

BOOST_AUTO_TEST_SUITE(book_gradients)

namespace {
double parabola(double x) { return 0.01 * (x * x) + 0.1 * x; }
Tensor bowl(const Tensor& x) { return sum(square(x)); }
/// Of a difference quotient: what its last digits owe to the order of the operations.
constexpr double kTrailing = 1e-10;
}  // namespace

// ---- numerical differentiation ----

BOOST_AUTO_TEST_CASE(numerical_differentiation) {
  check_printed(central_difference(parabola, 5), 0.1999999999990898, kTrailing);
  check_printed(central_difference(parabola, 10), 0.2999999999986347, kTrailing);
  check_printed(forward_difference(parabola, 5), 0.2 + 0.01 * 1e-4, kTrailing);
  const NumericalDerivative exact = numerical_derivative(parabola, 5);
  BOOST_TEST(std::abs(exact.value - 0.2) <= exact.error + 1e-16);
  BOOST_TEST(exact.error < 1e-13);
  BOOST_CHECK_EXCEPTION(central_difference(parabola, 5, 1e-50), ArgumentError, mentions("1e-50", "vanishes"));
  const TangentLine tangent = tangent_line(parabola, 5);
  check_printed(tangent.slope, 0.2, kTrailing);
  check_printed(tangent.intercept, -0.25, 5 * kTrailing);
  check_printed(tangent(5), parabola(5), 1e-15);
}

BOOST_AUTO_TEST_CASE(partial_derivatives_and_numerical_gradients) {
  // As functions of one number, the other one held fast, and of the vector.
  check_printed(central_difference([](double x0) { return x0 * x0 + 4.0 * 4.0; }, 3), 6.00000000000378,
                kTrailing);
  check_printed(central_difference([](double x1) { return 3.0 * 3.0 + x1 * x1; }, 4), 7.999999999999119,
                kTrailing);
  check_printed(numerical_partial(bowl, f64s({3, 4}), 0), 6.00000000000378, kTrailing);
  check_printed(numerical_partial(bowl, f64s({3, 4}), 1), 7.999999999999119, kTrailing);
  check_printed(numerical_gradient(bowl, f64s({3, 4})), {6, 8}, kTrailing);
  check_printed(numerical_gradient(bowl, f64s({0, 2})), {0, 4}, kTrailing);
  check_printed(numerical_gradient(bowl, f64s({3, 0})), {6, 0}, kTrailing);
}

BOOST_AUTO_TEST_CASE(directional_derivatives) {
  const auto hill = [](const Tensor& p) { return 5 - sum(square(p) * f64s({1, 2})); };
  const Tensor at = f64s({1.5, -1});
  const Tensor g = gradient(hill, at);
  check_printed(g, {-3, 4}, 1e-15);
  const double steepest = sqrt(sum(square(g))).item();
  check_printed(steepest, 5, 1e-15);
  check_printed(jvp(hill, at, g / steepest).tangent, {5}, 1e-15);
  check_printed(jvp(hill, at, f64s({0.8, 0.6})).tangent, {0}, 1e-15);  // along the contour

  const auto f = [](const Tensor& p) { return log(sum(square(p))); };
  const Tensor from = f64s({1, 1, 1});
  const Tensor towards = f64s({2, 3, 3}) - from;
  const Tensor unit = towards / sqrt(sum(square(towards)));
  check_printed(jvp(f, from, unit).tangent, {1.1111111111111112}, 3e-16);
  check_printed(dot(gradient(f, from), unit), {1.1111111111111112}, 3e-16);
}

// ---- gradient descent ----

BOOST_AUTO_TEST_CASE(descent_to_the_bottom_of_a_bowl) {
  const Tensor start = f64s({-3, 4});
  const Descent d = gradient_descent(bowl, start, {.rate = 0.1, .steps = 100});
  check_printed(d.x(), {-6.11110793e-10, 8.14814391e-10}, 5e-19);
  BOOST_TEST((d.outcome == Outcome::converged));
  BOOST_TEST_REQUIRE(d.path.size() == 101u);
  check_printed(d.path[0], {-3, 4}, 0);
  check_printed(d.path[1], {-2.4, 3.2}, 1e-15);
  BOOST_TEST((gradient_descent(bowl, start, {.rate = 10}).outcome == Outcome::diverged));
  const Descent still = gradient_descent(bowl, start, {.rate = 1e-10});
  BOOST_TEST((still.outcome == Outcome::did_not_move));
  check_printed(still.x(), {-2.99999994, 3.99999992}, 5.01e-9);
}

BOOST_AUTO_TEST_CASE(least_squares) {
  const Tensor x = f64s({3, 4, 6, 5, 1, 4, 3, 4, 3.5, 4.5, 2.5});
  const Tensor y = f64s({1, 2, 3, 2.5, 1, 2, 2, 2, 1.5, 3, 1.3});
  const Tensor dx = x - mean(x);
  const double a = (sum(dx * y) / sum(square(dx))).item();
  const double b = mean(y).item() - a * mean(x).item();
  const auto loss = [&](const Tensor& p) { return mse_loss(select(p, 0, 0) * x + select(p, 0, 1), y); };
  const Descent d = gradient_descent(loss, f64s({0, 0}), {.rate = 0.05, .steps = 4000});
  BOOST_TEST((d.outcome == Outcome::converged));
  check_printed(d.x(), {a, b}, 1e-12);
}

// ---- simpleNet ----

namespace {

/// The loss of the notes: the logarithm of the probability plus 1e-7.
Tensor loss_of_the_notes(const Tensor& x, const Tensor& w, const Tensor& t) {
  return cross_entropy(softmax(matmul(x, w)), t);
}

void check_simple_net(const Tensor& w, std::int64_t label, double loss,
                      const std::vector<double>& gradients) {
  const Tensor x = f64s({0.6, 0.9});
  const Tensor index = Tensor::scalar(static_cast<double>(label), i64);
  for (const Tensor& t : {index, one_hot(index, 3, f64)}) {
    const auto notes = [&](const Tensor& v) { return loss_of_the_notes(x, v, t); };
    check_printed(notes(w), {loss}, 1e-7);
    check_printed(numerical_gradient(notes, w), gradients, 1e-7);
    check_printed(gradient(notes, w), gradients, 1e-7);
    const auto fused = [&](const Tensor& v) { return softmax_with_loss(matmul(x, v), t); };
    check_printed(fused(w), {loss}, 1e-6);
    check_printed(gradient(fused, w), gradients, 1e-6);
    check_printed(gradient(fused, w), numbers(outer(x, softmax(matmul(x, w)) - one_hot(index, 3, f64))),
                  1e-15);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(simple_net) {
  const Tensor w = f64s({{0.94988364, 1.46592983, -1.32950342}, {-0.00235879, -1.1279907, -0.22443244}});
  const Tensor logits = matmul(f64s({0.6, 0.9}), w);
  check_printed(logits, {0.56780727, -0.13563373, -0.99969124}, 1.3e-8);
  BOOST_TEST(argmax(logits).item() == 0);
  check_simple_net(w, 1, 1.2360937650969104,
                   {0.35222712, -0.42568981, 0.07346269, 0.52834068, -0.63853472, 0.11019404});
}

BOOST_AUTO_TEST_CASE(simple_net_and_ten_steps) {
  const Tensor w = f64s({{-0.52760346, -0.60826468, 0.14784348}, {-0.53011149, -2.15726367, 0.54289599}});
  check_simple_net(w, 2, 0.2698596081175344,
                   {0.11629091, 0.02561713, -0.14190804, 0.17443636, 0.03842569, -0.21286206});
  const Tensor x = f64s({0.6, 0.9});
  const Tensor t = Tensor::scalar(2, i64);
  const std::vector<double> after{-0.98917483, -0.74641069, 0.74756086, -1.22246854, -2.36448269, 1.44247207};
  const double loss_after = 0.044317052837686284;

  const auto notes = [&](const Tensor& v) { return loss_of_the_notes(x, v, t); };
  Tensor moved = w;
  for (int step = 0; step < 10; ++step) moved = moved - numerical_gradient(notes, moved);
  check_printed(moved, after, 1e-7);
  check_printed(notes(moved), {loss_after}, 1e-7);

  const auto fused = [&](const Tensor& v) { return softmax_with_loss(matmul(x, v), t); };
  const Descent d = gradient_descent(fused, w, {.rate = 1, .steps = 10});
  check_printed(d.x(), after, 1e-6);
  check_printed(d.values.back(), loss_after, 1e-6);
}

// ---- chapter 5: backpropagation ----

BOOST_AUTO_TEST_CASE(shopping) {
  Tape tape;
  const auto input = [&](double v) { return tape.watch(Tensor::scalar(v, f64)); };
  const Tensor apple = input(100), apples = input(2), orange = input(150), oranges = input(3),
               tax = input(1.1);
  const Tensor apple_price = apple * apples;
  const Tensor orange_price = orange * oranges;
  const Tensor price = apple_price + orange_price;
  const Tensor total = price * tax;
  check_printed(apple_price, {200}, 0);
  check_printed(orange_price, {450}, 0);
  check_printed(price, {650}, 0);
  check_printed(total, {715}, 2e-13);
  const std::vector<Tensor> within = tape.grad(total, {apple_price, orange_price, price});
  for (const Tensor& g : within) check_printed(g, {1.1}, 0);
  const Gradients g = tape.backward(total);
  check_printed(g[apple], {2.2}, 0);
  check_printed(g[apples], {110}, 2e-14);
  check_printed(g[orange], {3.3}, 5e-16);
  check_printed(g[oranges], {165}, 0);
  check_printed(g[tax], {650}, 0);
}

BOOST_AUTO_TEST_CASE(the_purchase_of_two_apples) {
  const auto bill = [](const Tensor& apple, const Tensor& count, const Tensor& tax) {
    return apple * count * tax;
  };
  const ValueAndGradients r =
      value_and_gradient(bill, {Tensor::scalar(100, f64), Tensor::scalar(2, f64), Tensor::scalar(1.1, f64)});
  check_printed(r.value, {220}, 5e-14);
  check_printed(r.gradients[0], {2.2}, 0);
  check_printed(r.gradients[1], {110}, 2e-14);
  check_printed(r.gradients[2], {200}, 0);
}

BOOST_AUTO_TEST_CASE(relu_layer) {
  nn::Relu layer;
  const ValueAndGradient r = vjp(layer, f64s({9, -1, 1, 3}), f64s({8, 1, -1, 0}));
  check_printed(r.value, {9, 0, 1, 3}, 0);
  check_printed(r.gradient, {8, 0, -1, 0}, 0);
}

BOOST_AUTO_TEST_CASE(sigmoid_layer) {
  nn::Sigmoid layer;
  const Tensor x = f64s({{1, -0.5}, {-2, 3}});
  const Tensor dout = f64s({{1, -2}, {0.5, 3}});
  const ValueAndGradient r = vjp(layer, x, dout);
  const Tensor y = 1 / (1 + exp(-x));
  check_tensor(r.value, {2, 2}, numbers(y), 1e-15);
  check_tensor(r.gradient, {2, 2}, numbers(dout * y * (1 - y)), 1e-15);
}

BOOST_AUTO_TEST_CASE(affine_layer) {
  const Tensor x = random({4, 3});
  const Tensor w = random({3, 2}, f64, -1, 1, 2);
  const Tensor b = random({2}, f64, -1, 1, 3);
  const Tensor dout = random({4, 2}, f64, -1, 1, 4);
  const ValueAndGradients r = vjp(affine, {x, w, b}, dout);
  check_tensor(r.value, {4, 2}, numbers(matmul(x, w) + b), 1e-15);
  check_tensor(r.gradients[0], {4, 3}, numbers(matmul(dout, transpose(w))), 1e-14);
  check_tensor(r.gradients[1], {3, 2}, numbers(matmul(transpose(x), dout)), 1e-14);
  check_tensor(r.gradients[2], {2}, numbers(sum(dout, 0)), 1e-15);
  // The layer itself, with its parameters.
  nn::Affine layer{Parameter(w), Parameter(b)};
  Tape tape;
  const Tensor in = tape.watch(x);
  const Gradients g = tape.backward(layer(in), dout);
  check_tensor(g[in], {4, 3}, numbers(r.gradients[0]), 0);
  check_tensor(g[layer.weight()], {3, 2}, numbers(r.gradients[1]), 0);
  check_tensor(g[layer.bias()], {2}, numbers(r.gradients[2]), 0);
}

BOOST_AUTO_TEST_CASE(bias_of_the_notes) {
  // Two samples with x W + b: the gradient of the bias is the sum over the batch.
  const Tensor xw = f64s({{0, 0, 0}, {10, 10, 10}});
  const ValueAndGradients r = vjp([](const Tensor& p, const Tensor& b) { return p + b; },
                                  {xw, f64s({1, 2, 3})}, f64s({{1, 2, 3}, {4, 5, 6}}));
  check_printed(r.value, {1, 2, 3, 11, 12, 13}, 0);
  check_printed(r.gradients[1], {5, 7, 9}, 0);
}

BOOST_AUTO_TEST_CASE(softmax_with_loss_layer) {
  const nn::SoftmaxWithLoss loss;
  const Tensor x = random({5, 3}, f64, -3, 3);
  const Tensor labels = Tensor::from({0, 2, 1, 1, 0}, i64);
  const Tensor hot = one_hot(labels, 3, f64);
  for (const Tensor& t : {labels, hot}) {
    const ValueAndGradient r = value_and_gradient([&](const Tensor& s) { return loss(s, t); }, x);
    check_tensor(r.value, {}, {-sum(hot * log(softmax(x))).item() / 5}, 1e-14);
    check_tensor(r.gradient, {5, 3}, numbers((softmax(x) - hot) / 5), 1e-15);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace book_gradients_test
