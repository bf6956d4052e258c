// L-BFGS: minima of known functions by tensors, parameters and scalars, the conditions of its steps, and what ends it.

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <tapegrad/optim/lbfgs.h>
#include <tapegrad/tapegrad.h>

#include "op_support.h"
#include "rosenbrock_support.h"

namespace quasi_newton_test {

using namespace tapegrad;
using namespace tapegrad::test;
using optim::lbfgs;
using optim::Outcome;

BOOST_AUTO_TEST_SUITE(quasi_newton)

BOOST_AUTO_TEST_CASE(a_quadratic_function_needs_as_many_steps_as_it_has_directions) {
  // x A x / 2 - b x with the eigenvalues 1, 10, 100, 1000: the minimum solves A x = b.
  const Tensor scales = Tensor::from({1, 10, 100, 1000}, f64), b = Tensor::from({1, -2, 3, -4}, f64);
  const auto m =
      lbfgs([&](const Tensor& x) { return sum(0.5 * scales * square(x) - b * x); }, Tensor::zeros({4}, f64));
  BOOST_TEST((m.outcome == Outcome::converged), m.message);
  check_tensor(m.x, {4}, {1, -0.2, 0.03, -0.004}, 1e-8);
  BOOST_TEST(m.gradient_norm <= 1e-8);
  BOOST_TEST(m.iterations < 30);
  BOOST_TEST(m.evaluations < 45);
  BOOST_TEST(near(m.value, -0.5 * (1 + 0.4 + 0.09 + 0.016), 1e-12));
  BOOST_TEST(mentions("converged", "iterations")(std::runtime_error(m.message)));
}

BOOST_AUTO_TEST_CASE(rosenbrock_s_valley_by_tensors_scalars_and_parameters) {
  for (const std::int64_t n : {2, 10, 100}) {
    std::vector<double> start(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < start.size(); ++i) start[i] = i % 2 == 0 ? -1.2 : 1;
    const std::vector<double> ones(start.size(), 1.0);
    const auto scalars = lbfgs([](std::span<const Real> p) -> Real { return rosenbrock(p); }, start);
    BOOST_TEST((scalars.outcome == Outcome::converged), scalars.message);
    for (const double x : scalars.x) BOOST_TEST(std::abs(x - 1) < 1e-7);
    BOOST_TEST(scalars.evaluations < 2 * scalars.iterations + 20);

    const auto tensors = lbfgs(rosenbrock_of_tensors, Tensor::from(start, {n}));
    BOOST_TEST((tensors.outcome == Outcome::converged), tensors.message);
    check_tensor(tensors.x, {n}, ones, 1e-7);

    const Parameter even(Tensor::full({n / 2}, -1.2, f64)), odd(Tensor::full({n / 2}, 1, f64));
    const auto parameters = lbfgs({even, odd, even}, [&] {
      return rosenbrock_of_tensors(reshape(stack({even, odd}, 1), {n}));
    });
    BOOST_TEST((parameters.outcome == Outcome::converged), parameters.message);
    check_tensor(even.data(), {n / 2}, std::vector<double>(start.size() / 2, 1.0), 1e-7);
    check_tensor(odd.data(), {n / 2}, std::vector<double>(start.size() / 2, 1.0), 1e-7);
  }
}

BOOST_AUTO_TEST_CASE(a_network_is_fitted) {
  Generator g(3);
  nn::Sequential net{nn::Affine(1, 8, g), nn::Tanh(), nn::Affine(8, 1, g)};
  const Tensor x = reshape(Tensor::arange(-20, 21, 1, f32), {41, 1}) / 10.0, t = sin(x);
  const auto m = lbfgs(net, [&] { return mse_loss(net(x), t); }, {.iterations = 1000, .tolerance = 1e-6});
  BOOST_TEST(m.value < 1e-5, m.message);
  BOOST_TEST(near(m.value, mse_loss(net(x), t).item(), 1e-6));
  // What is frozen stays.
  nn::Sequential half{nn::Affine(1, 2, g), nn::Tanh(), nn::Affine(2, 1, g)};
  const auto named = half.parameters();
  Parameter first = named[0].second;
  first.freeze();
  const std::vector<double> before = numbers(first.data());
  lbfgs(half, [&] { return mse_loss(half(x), t); }, {.iterations = 20});
  check_tensor(first.data(), first.shape(), before);
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_on_the_way_shortens_the_step) {
  // log is NaN below 0, which the first steps would reach.
  const auto m = lbfgs([](std::span<const Real> p) -> Real { return 1000 * (p[0] - log(p[0])); }, {0.01});
  BOOST_TEST((m.outcome == Outcome::converged), m.message);
  BOOST_TEST(std::abs(m.x[0] - 1) < 1e-9);
  const auto barrier =
      lbfgs([](const Tensor& x) { return sum(exp(exp(x)) - 20 * x); }, Tensor::from({-3}, f64));
  BOOST_TEST((barrier.outcome == Outcome::converged), barrier.message);
}

BOOST_AUTO_TEST_CASE(outcomes) {
  const auto ran = lbfgs(rosenbrock_of_tensors, Tensor::from({-1.2, 1}, f64), {.iterations = 3});
  BOOST_TEST((ran.outcome == Outcome::ran));
  BOOST_TEST(ran.iterations == 3);
  BOOST_TEST(mentions("ran", "3 iterations", "tolerance")(std::runtime_error(ran.message)));
  BOOST_TEST(lbfgs(rosenbrock_of_tensors, Tensor::from({-1.2, 1}, f64), {.iterations = 0}).evaluations == 1);

  const auto diverged = lbfgs([](std::span<const Real> p) -> Real { return -exp(p[0] * p[0]); }, {1.0});
  BOOST_TEST((diverged.outcome == Outcome::diverged), diverged.message);

  // As fast as a line, as a parabola, and to where f32 has no numbers any more.
  const TensorFunction falling[] = {[](const Tensor& x) { return -sum(x); },
                                    [](const Tensor& x) { return sum(x - x * x); },
                                    [](const Tensor& x) { return sum(x * x * x - exp(x)); }};
  for (const TensorFunction& f : falling)
    for (const Dtype dtype : {f32, f64})
      for (const double far : {1.0, 1e6}) {
        const auto m = lbfgs(f, Tensor::from({-far, far == 1 ? 2 : -2 * far}, dtype));
        BOOST_TEST((m.outcome == Outcome::diverged), m.message);
        BOOST_TEST(mentions("falls without bound")(std::runtime_error(m.message)));
      }
  // Where the minimum is far away, that is no reason.
  for (const double far : {1e6, 1e12}) {
    const auto m =
        lbfgs([&](const Tensor& x) { return far * sum(square(x / far - 1)); }, Tensor::zeros({2}, f64));
    BOOST_TEST((m.outcome == Outcome::converged), m.message);
    check_tensor(m.x / far, {2}, {1, 1}, 1e-6);
  }

  // A gradient that is not the function's: no step along it lowers the value.
  const auto wrong =
      lbfgs([](std::span<const Real> p) -> Real { return 2 * value(p[0] * p[0]) - p[0] * p[0]; }, {1.0});
  BOOST_TEST((wrong.outcome == Outcome::did_not_move), wrong.message);
  BOOST_TEST(wrong.x[0] == 1);
  BOOST_TEST(wrong.value == 1);

  // f32 ends where rounding does, near the minimum.
  const auto rounded = lbfgs(rosenbrock_of_tensors, Tensor::from({-1.2, 1}, f32), {.tolerance = 0});
  BOOST_TEST((rounded.outcome == Outcome::did_not_move || rounded.outcome == Outcome::converged),
             rounded.message);
  check_tensor(rounded.x, {2}, {1, 1}, 2e-3);
  // At the minimum already.
  BOOST_TEST(lbfgs(rosenbrock_of_tensors, Tensor::ones({4}, f64)).iterations == 0);
  BOOST_TEST(lbfgs([](std::span<const Real>) -> Real { return 3; }, std::vector<double>{}).value == 3);
}

BOOST_AUTO_TEST_CASE(first_steps_that_rounding_hides_are_gone_on_with) {
  // The first steps are as long as the gradient at most, and 1: too short to be seen in these values.
  const auto far = lbfgs([](std::span<const Real> p) -> Real { return square(p[0] - 1e17); }, {0.0});
  BOOST_TEST((far.outcome == Outcome::converged), far.message);
  BOOST_TEST(near(far.x[0], 1e17, 1e-12));
  const auto above = [](std::span<const Real> p) -> Real { return 1e12 + square(p[0] * 1e-3 - 1); };
  for (const double start : {0.0, 5000.0}) {
    const auto offset = lbfgs(above, {start});
    BOOST_TEST((offset.outcome == Outcome::converged), offset.message);
    BOOST_TEST(near(offset.x[0], 1000, 1e-2), offset.message);
  }
  for (const double unit : {1e-10, 1e10}) {
    const auto valley = lbfgs(
        [unit](std::span<const Real> p) -> Real {
          const Real x = p[0] / unit, y = p[1] / unit;
          return 100 * square(y - x * x) + square(1 - x);
        },
        {-1.2 * std::min(unit, 1.0), std::min(unit, 1.0)}, {.tolerance = 0});
    BOOST_TEST(near(valley.x[0] / unit, 1, 1e-6), valley.message);
    BOOST_TEST(near(valley.x[1] / unit, 1, 1e-6), valley.message);
  }
  // No function falls by a gradient that is not its own, however far one goes.
  const auto wrong = lbfgs([](std::span<const Real> p) -> Real { return 1 + p[0] - value(p[0]); }, {1.0});
  BOOST_TEST((wrong.outcome == Outcome::did_not_move), wrong.message);
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor start = Tensor::from({-1.2, 1}, f64);
  const auto f = rosenbrock_of_tensors;
  BOOST_CHECK_EXCEPTION(lbfgs(f, start, {.iterations = -1}), ArgumentError,
                        mentions("lbfgs", "-1 iterations"));
  BOOST_CHECK_EXCEPTION(lbfgs(f, start, {.tolerance = -1}), ArgumentError, mentions("tolerance is -1"));
  BOOST_CHECK_EXCEPTION(lbfgs(f, start, {.tolerance = kNan}), ArgumentError, mentions("tolerance is nan"));
  BOOST_CHECK_EXCEPTION(lbfgs(f, start, {.memory = 0}), ArgumentError, mentions("memory of 0"));
  BOOST_CHECK_EXCEPTION(lbfgs(f, start, {.decrease = 0.95}), ArgumentError, mentions("decrease is 0.95"));
  BOOST_CHECK_EXCEPTION(lbfgs(f, start, {.curvature = 1}), ArgumentError, mentions("curvature 1"));
  BOOST_CHECK_EXCEPTION(lbfgs(f, Tensor::from({kInf, 1}, f64)), NonFinite, mentions("lbfgs", "at the start"));
  BOOST_CHECK_EXCEPTION(lbfgs(f, Tensor::ones({2}, i64)), DtypeError, mentions("i64"));
  BOOST_CHECK_THROW(lbfgs([](const Tensor& x) { return x; }, start), ShapeError);
  const Parameter p(start);
  BOOST_CHECK_EXCEPTION(lbfgs({p}, [&] { return p * 2.0; }), ShapeError, mentions("lbfgs", "[2]"));
  Parameter frozen(start);
  frozen.freeze();
  BOOST_CHECK_EXCEPTION(lbfgs({frozen}, [&] { return sum(p * 2.0); }), ArgumentError, mentions("frozen"));
  BOOST_CHECK_THROW(lbfgs(
                        [](const Tensor& x) -> Tensor {
                          if (x.values<double>()[0] != -1.2) throw std::runtime_error("no");
                          return sum(square(x));
                        },
                        start),
                    std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace quasi_newton_test
