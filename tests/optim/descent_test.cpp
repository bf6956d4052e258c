#include <cmath>

#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/optim/descent.h>

#include "op_support.h"

namespace descent_test {

using namespace tapegrad;
using namespace tapegrad::test;
using optim::Descent;
using optim::gradient_descent;
using optim::Outcome;

BOOST_AUTO_TEST_SUITE(descent)

namespace {
Tensor bowl(const Tensor& x) { return sum(square(x)); }
Tensor at(std::initializer_list<double> v) { return Tensor::from(v, f64); }
}  // namespace

BOOST_AUTO_TEST_CASE(each_step_is_the_formula_and_is_kept) {
  // Ellipse x^2/20 + y^2: each coordinate is multiplied by 1 - rate * its curvature.
  const auto f = [](const Tensor& p) { return sum(square(p) * at({1.0 / 20, 1})); };
  const Descent d = gradient_descent(f, at({-7, 2}), {.rate = 0.3, .steps = 20});
  BOOST_TEST_REQUIRE(d.path.size() == 21u);
  BOOST_TEST_REQUIRE(d.values.size() == 21u);
  BOOST_TEST_REQUIRE(d.gradient_norms.size() == 21u);
  for (std::size_t k = 0; k < d.path.size(); ++k) {
    const double x = -7 * std::pow(1 - 0.3 / 10, static_cast<double>(k));
    const double y = 2 * std::pow(1 - 0.3 * 2, static_cast<double>(k));
    check_tensor(d.path[k], {2}, {x, y}, 1e-13);
    BOOST_TEST(near(d.values[k], x * x / 20 + y * y, 1e-13));
    BOOST_TEST(near(d.gradient_norms[k], std::hypot(x / 10, 2 * y), 1e-13));
  }
  BOOST_TEST((d.outcome == Outcome::ran));
  BOOST_TEST(mentions("ran", "20 steps", "0.3")(std::runtime_error(d.message)));
  check_tensor(d.x(), {2}, numbers(d.path.back()));
}

BOOST_AUTO_TEST_CASE(outcomes) {
  const Tensor start = at({-3, 4});
  const Descent good = gradient_descent(bowl, start, {.rate = 0.1, .steps = 100});
  BOOST_TEST((good.outcome == Outcome::converged));
  BOOST_TEST(mentions("converged", "100 steps", "10 at the start")(std::runtime_error(good.message)));
  BOOST_TEST(good.path.size() == 101u);

  const Descent wild = gradient_descent(bowl, start, {.rate = 10, .steps = 100});
  BOOST_TEST((wild.outcome == Outcome::diverged));
  BOOST_TEST(mentions("diverged", "lower the rate", "10")(std::runtime_error(wild.message)));
  BOOST_TEST(near(wild.x().to_vector<double>()[0], -3 * std::pow(19.0, 100), 1e-12));

  const Descent lazy = gradient_descent(bowl, start, {.rate = 1e-10, .steps = 100});
  BOOST_TEST((lazy.outcome == Outcome::did_not_move));
  BOOST_TEST(mentions("did not move", "raise the rate", "1e-10")(std::runtime_error(lazy.message)));
  BOOST_TEST(lazy.path.size() == 101u);

  // So far that numbers end: the path holds what is finite.
  const Descent gone = gradient_descent(bowl, start, {.rate = 10, .steps = 1000});
  BOOST_TEST((gone.outcome == Outcome::diverged));
  BOOST_TEST(gone.path.size() < 300u);
  BOOST_TEST(std::isfinite(gone.values.back()));
  BOOST_TEST(mentions("not finite")(std::runtime_error(gone.message)));

  // A stationary start, and one at which a step lands exactly.
  const Descent there = gradient_descent(bowl, at({0, 0}));
  BOOST_TEST((there.outcome == Outcome::converged));
  BOOST_TEST(there.path.size() == 1u);
  const Descent exact = gradient_descent(bowl, start, {.rate = 0.5});
  BOOST_TEST((exact.outcome == Outcome::converged));
  BOOST_TEST(exact.path.size() == 2u);

  // A line without an end is a way, not a failure; so is a valley far from 0, in which little movement is
  // all.
  BOOST_TEST((gradient_descent([](const Tensor& x) { return sum(x); }, at({1, 1})).outcome == Outcome::ran));
  const Descent far = gradient_descent([](const Tensor& x) { return sum(square(x - 1e6)); }, at({1e6 + 0.5}));
  BOOST_TEST((far.outcome == Outcome::converged));
  const Descent small =
      gradient_descent([](const Tensor& x) { return sum(square(x)); }, at({1e-9}), {.steps = 10});
  BOOST_TEST((small.outcome == Outcome::ran));
  BOOST_TEST(name_of(Outcome::converged) == "converged");
  BOOST_TEST(name_of(Outcome::ran) == "ran");
  BOOST_TEST(name_of(Outcome::diverged) == "diverged");
  BOOST_TEST(name_of(Outcome::did_not_move) == "did not move");
}

BOOST_AUTO_TEST_CASE(ascent) {
  const auto hill = [](const Tensor& p) { return 5 - sum(square(p) * at({1, 2})); };
  const Descent d = gradient_descent(hill, at({1.5, -1}), {.rate = 0.1, .steps = 200, .ascend = true});
  BOOST_TEST((d.outcome == Outcome::converged));
  BOOST_TEST(near(d.values.back(), 5, 1e-12));
  for (std::size_t k = 1; k < 20; ++k) BOOST_TEST(d.values[k] > d.values[k - 1]);
  check_tensor(d.path[1], {2}, {1.5 - 0.3, -1 + 0.4});
  BOOST_TEST(
      (gradient_descent(hill, at({1.5, -1}), {.rate = 10, .ascend = true}).outcome == Outcome::diverged));
}

BOOST_AUTO_TEST_CASE(normalised_steps_have_the_length_of_the_rate) {
  const Descent d = gradient_descent(bowl, at({-3, 4}), {.rate = 0.5, .steps = 14, .normalize = true});
  for (std::size_t k = 0; k < 10; ++k) {
    check_tensor(d.path[k], {2},
                 {-3 * (1 - 0.1 * static_cast<double>(k)), 4 * (1 - 0.1 * static_cast<double>(k))}, 1e-12);
  }
  BOOST_TEST(d.values.back() <= 0.26);  // a step away from the minimum at most
  const Descent up =
      gradient_descent(bowl, at({3, 4}), {.rate = 1, .steps = 5, .ascend = true, .normalize = true});
  check_tensor(up.x(), {2}, {6, 8}, 1e-13);
  BOOST_TEST((up.outcome == Outcome::ran));
}

BOOST_AUTO_TEST_CASE(it_reaches_the_minimum_of_the_rosenbrock_function) {
  const auto f = [](const Tensor& p) {
    const Tensor x = select(p, 0, 0);
    const Tensor y = select(p, 0, 1);
    return square(1 - x) + 100 * square(y - square(x));
  };
  const Descent d = gradient_descent(f, at({-1, 1}), {.rate = 0.001, .steps = 40000});
  BOOST_TEST((d.outcome == Outcome::converged));
  check_tensor(d.x(), {2}, {1, 1}, 1e-4);
}

BOOST_AUTO_TEST_CASE(nothing_is_recorded_and_the_start_is_untouched) {
  const Parameter p(at({-3, 4}));
  Tape tape;
  const Tensor start = p * 1.0;
  const std::size_t size = tape.size();
  const Descent d = gradient_descent(bowl, start, {.steps = 3});
  BOOST_TEST(tape.size() == size);
  BOOST_TEST(tape.active());
  BOOST_TEST(!d.x().tracked());
  check_tensor(start, {2}, {-3, 4});
  check_tensor(d.path[0], {2}, {-3, 4});
  BOOST_TEST((gradient_descent(bowl, Tensor::from({1, 2})).x().dtype() == f32));
}

BOOST_AUTO_TEST_CASE(refusals) {
  for (const double rate : {0.0, -1.0, kNan, kInf})
    BOOST_CHECK_EXCEPTION(gradient_descent(bowl, at({1}), {.rate = rate}), ArgumentError,
                          mentions("gradient_descent", "rate", "ascend"));
  BOOST_CHECK_EXCEPTION(gradient_descent(bowl, at({1}), {.steps = 0}), ArgumentError, mentions("0 steps"));
  BOOST_CHECK_EXCEPTION(gradient_descent(bowl, at({1}), {.tolerance = -1}), ArgumentError,
                        mentions("tolerance"));
  BOOST_CHECK_THROW(gradient_descent(bowl, Tensor::arange(2)), DtypeError);
  BOOST_CHECK_THROW(gradient_descent([](const Tensor& x) { return x; }, at({1, 2})), ShapeError);
  BOOST_CHECK_EXCEPTION(gradient_descent([](const Tensor& x) { return sum(log(x)); }, at({0})), NonFinite,
                        mentions("at the start", "-inf"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent_test
