// Derivatives of functions where a tape is active, or what they take is on one.
#include <cmath>

#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>

#include "derivatives_support.h"

namespace derivatives_on_tape_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(derivatives_on_tape)

BOOST_AUTO_TEST_CASE(what_a_function_captures_is_constant_to_it) {
  // d/dx (x d/dy (x + y)) = 1; a derivative that confused the two would give 2.
  const Tensor one = Tensor::scalar(1, f64);
  const auto outer = [&](const Tensor& x) {
    return x * gradient([&](const Tensor& y) { return x + y; }, one);
  };
  BOOST_TEST(gradient(outer, one).item() == 1);
  // The inner derivative of x y at y = x is x, not 2 x; all of it is x^2.
  const auto same = [](const Tensor& x) { return x * gradient([&](const Tensor& y) { return x * y; }, x); };
  BOOST_TEST(gradient(same, Tensor::scalar(3, f64)).item() == 6);
  BOOST_TEST(jvp(same, Tensor::scalar(3, f64), one).tangent.item() == 6);
}

BOOST_AUTO_TEST_CASE(under_an_active_tape_results_are_recorded) {
  const Parameter w(vec({2, 3}));
  const Tensor x = vec({1, -1});
  Tape tape;
  const Tensor v = tape.watch(vec({0.5, 0.25}));
  // The gradient penalty: sum_i (d/dx sum w x^3)^2 = sum 9 w^2 x^4, its derivative by w 18 w x^4.
  const Tensor g = gradient([&](const Tensor& p) { return sum(w * p * p * p); }, x);
  BOOST_TEST(g.tracked());
  // By the tangent: d/dv of sum (6 w x) v through hvp.
  const Tensor hv = hvp([&](const Tensor& p) { return sum(w * p * p * p); }, x, v);
  const ValueAndTangent t = jvp([&](const Tensor& p) { return w * p; }, x, v);
  BOOST_TEST(t.value.tracked());
  const Gradients all = tape.backward(sum(square(g)) + sum(hv) + sum(t.tangent) + sum(t.value));
  check(all[w], {2}, {36 + 6 * 0.5 + 0.5 + 1, 54 - 6 * 0.25 + 0.25 - 1});
  check(all[v], {2}, {12 + 2, -18 + 3});
  BOOST_TEST(all.size() == 2u);  // the inputs add no entries
  // The tape is spent: values, as without one.
  check(gradient([&](const Tensor& p) { return sum(w * p * p * p); }, x), {2}, {6, 9});
}

BOOST_AUTO_TEST_CASE(inputs_may_be_what_the_tape_has_recorded) {
  Tape tape;
  const Tensor x = tape.watch(vec({1, 2}));
  const Tensor m = exp(x);
  const Tensor g = gradient([](const Tensor& y) { return sum(y * y * y); }, m);  // 3 e^2x
  check(g, {2}, {3 * std::exp(2.0), 3 * std::exp(4.0)});
  check(tape.grad(sum(g), x), {2}, {6 * std::exp(2.0), 6 * std::exp(4.0)});
  const Tensor j = jacobian([](const Tensor& y) { return square(y); }, m);  // diag(2 e^x)
  check(tape.grad(sum(j), x), {2}, {2 * std::exp(1.0), 2 * std::exp(2.0)});
}

BOOST_AUTO_TEST_CASE(what_was_not_recorded_has_no_derivative_through_them) {
  Tape tape;
  const Tensor u = tape.watch(vec({1, 2}));
  const Tensor du = tape.grad(sum(u * u * u), u);
  const auto f = [](const Tensor& v) { return sum(square(v)); };
  BOOST_CHECK_THROW(tape.grad(sum(gradient(f, du) * u), u), NotTracked);
  BOOST_CHECK_THROW(tape.grad(sum(vjp([](const Tensor& v) { return square(v); }, u, du).gradient), u),
                    NotTracked);
  BOOST_CHECK_THROW(tape.grad(sum(jacobian([](const Tensor& v) { return square(v); }, du)), u), NotTracked);
  BOOST_CHECK_THROW(tape.grad(jvp(f, du, u).tangent, u), NotTracked);
  BOOST_CHECK_THROW(tape.grad(jvp(f, u, du).tangent, u), NotTracked);
  BOOST_CHECK_THROW(tape.grad(sum(hvp(f, u, du)) + sum(u), u), NotTracked);
  BOOST_CHECK_THROW(tape.grad(value_and_gradient(f, u.copy()).value + sum(u), u), NotTracked);
  check(tape.grad(sum(gradient(f, du.detach()) * u), u), {2}, {6, 24});
}

BOOST_AUTO_TEST_CASE(under_pause_results_are_values) {
  const Parameter w(vec({2, 3}));
  Tape tape;
  const Tensor x = w * 2.0;
  const std::size_t size = tape.size();
  const Pause pause;
  const Tensor h = hessian([&](const Tensor& p) { return sum(w * p * p * p); }, x);
  check(h, {2, 2}, {6 * 2 * 4, 0, 0, 6 * 3 * 6});
  check(hvp([](const Tensor& p) { return sum(square(p)); }, x, x), {2}, {8, 12});  // x is a value here
  check(jvp([](const Tensor& p) { return square(p); }, x, x).tangent, {2}, {32, 72});
  check(vjp([](const Tensor& p) { return square(p); }, x, x).gradient, {2}, {32, 72});
  BOOST_TEST(!h.tracked());
  BOOST_TEST(tape.size() == size);
  BOOST_CHECK_EXCEPTION(gradient([&](const Tensor& p) { return sum(p * x); }, vec({1, 1})), ForeignTape,
                        mentions("mul", "outer tape", "detach()"));
  check(gradient([&](const Tensor& p) { return sum(p * x.detach()); }, vec({1, 1})), {2}, {4, 6});
}

BOOST_AUTO_TEST_CASE(stale_inputs_are_values_without_a_tape_and_refused_on_one) {
  Tensor stale;
  {
    Tape gone;
    stale = gone.watch(vec({1, 2})) * 1.0;
  }
  const auto f = [](const Tensor& x) { return sum(square(x)); };
  check(gradient(f, stale), {2}, {2, 4});
  check(hvp(f, stale, stale), {2}, {2, 4});
  Tape tape;
  BOOST_CHECK_EXCEPTION(gradient(f, stale), StaleTensor, mentions("gradient", "detach()"));
}

BOOST_AUTO_TEST_CASE(modules_are_functions_and_their_parameters_constants) {
  Generator rng(1);
  nn::Sequential net{nn::Affine(3, 4, rng, {.dtype = f64}), nn::Tanh(),
                     nn::Affine(4, 2, rng, {.dtype = f64})};
  const Tensor x = random({3});
  const Tensor j = jacobian(net, x);
  BOOST_TEST((j.shape() == Shape{2, 3}));
  const Tensor v = random({3}, f64, -1, 1, 4);
  check_same(matmul(j, v), jvp(net, x, v).tangent);
  // A loss made of the Jacobian trains the network.
  Tape tape;
  const Gradients g = tape.backward(sum(square(jacobian(net, x))));
  BOOST_TEST(g.size() == 4u);
  for (const Gradients::Entry& e : g)
    BOOST_TEST((max(abs(e.value)).item() > 0) == (e.key.parameter != net.parameters()[3].second.id()));
}

BOOST_AUTO_TEST_CASE(a_failure_leaves_the_tape_usable) {
  const Parameter w(vec({2}));
  Tape tape;
  BOOST_CHECK_THROW(gradient(
                        [](const Tensor& x) -> Tensor {
                          return matmul(x, vec({1, 2}));
                        },
                        vec({1})),
                    ShapeError);
  BOOST_CHECK_THROW(gradient([](const Tensor& x) { return x * 2.0; }, vec({1, 2})), ShapeError);
  BOOST_TEST(tape.active());
  check(tape.backward(square(w), vec({1}))[w], {1}, {4});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace derivatives_on_tape_test
