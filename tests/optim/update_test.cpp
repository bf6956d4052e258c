// The loops of the update rules, over parameters long enough for vectors, a rest and several threads; the
// formulas themselves, step by step, are in optim_test.cpp.
#include <cmath>
#include <string>
#include <vector>

#include <tapegrad/graph/parameter.h>
#include <tapegrad/optim/rules.h>

#include "kernel_support.h"

namespace update_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

constexpr std::int64_t kLong = 70'003;
constexpr double kRate = 0.05;

/// Element by element in double: two steps with the gradient g + decay w.
double after_two_steps(const std::string& rule, double w, double g, double decay) {
  double a = 0, b = 0;
  for (int t = 1; t <= 2; ++t) {
    const bool decoupled = rule == "adamw";
    const double d = decoupled ? g : g + decay * w;
    if (decoupled) w -= kRate * decay * w;
    if (rule == "sgd") {
      w -= kRate * d;
    } else if (rule == "momentum") {
      a = 0.9 * a - kRate * d;
      w += a;
    } else if (rule == "nesterov") {
      const double before = a;
      a = 0.9 * a - kRate * d;
      w += 0.81 * before - 1.9 * kRate * d;
    } else if (rule == "rmsprop") {
      a = 0.99 * a + 0.01 * d * d;
      w -= kRate * d / (std::sqrt(a) + 1e-7);
    } else if (rule == "adagrad") {
      a += d * d;
      w -= kRate * d / (std::sqrt(a) + 1e-7);
    } else {
      a = 0.9 * a + 0.1 * d;
      b = 0.999 * b + 0.001 * d * d;
      const double rate = kRate * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
      w -= rate * a / (std::sqrt(b) + 1e-7);
    }
  }
  return w;
}

/// Gradients larger than what the decay adds: where the two cancel, rounding alone gives an adaptive step its
/// sign.
struct Start {
  Tensor w, g;
  Start(std::int64_t n, Dtype dtype) : w(random({n}, dtype, -2, 2, 1)), g(random({n}, dtype, 0.5, 2, 2)) {
    // No gradient at all, in places: nothing is divided by nothing.
    visit_floating(dtype, [&]<class T> {
      for (std::size_t i = 0; i < static_cast<std::size_t>(n); i += 7) g.mutable_values<T>()[i] = T{0};
    });
  }
};

/// The parameter after two steps, and all that the optimizer keeps.
std::vector<Tensor> run(const std::string& rule, const Start& start, double decay) {
  const Parameter w(start.w.copy());
  const auto optimizer = optim::make_optimizer(rule, {{.parameters = {w}, .weight_decay = decay}}, kRate);
  for (int t = 0; t < 2; ++t) {
    Tape tape;
    optimizer->step(tape.backward(w.value(), start.g));
  }
  std::vector<Tensor> all{w.data().detach()};
  for (const auto& [name, tensor] : optimizer->state()) all.push_back(tensor);
  return all;
}

const std::vector<std::string> kRules = optim::optimizer_names();

}  // namespace

BOOST_AUTO_TEST_SUITE(update)

BOOST_AUTO_TEST_CASE(every_element_follows_the_formula) {
  for (const Dtype dtype : {f32, f64})
    for (const std::int64_t n : {std::int64_t{1}, std::int64_t{15}, std::int64_t{33}, kLong}) {
      const Start start(n, dtype);
      const std::vector<double> w = numbers(start.w), g = numbers(start.g);
      for (const std::string& rule : kRules)
        for (const double decay : {0.0, 0.1}) {
          std::vector<double> expected;
          for (std::size_t i = 0; i < w.size(); ++i)
            expected.push_back(after_two_steps(rule, w[i], g[i], decay));
          BOOST_TEST_CONTEXT(rule << " of " << n << " in " << name_of(dtype)) {
            for_each_isa([&] { check_tensor(run(rule, start, decay)[0], {n}, expected); });
          }
        }
    }
}

BOOST_AUTO_TEST_CASE(no_bit_depends_on_the_number_of_threads) {
  const Start start(3 * kLong, f32);
  for (const std::string& rule : kRules) BOOST_TEST_CONTEXT(rule) {
      check_bits_for_threads([&] { return run(rule, start, 0.1); });
    }
}

BOOST_AUTO_TEST_CASE(no_gradient_is_so_small_that_its_step_is_large) {
  // The squares of the smallest are 0.
  for (const double size : {0., 1e-45, 1e-30, 1e-24, 1e-22, 1e-20, 1e-18, 1e-12}) {
    constexpr double kEps = 1e-18, kLr = 0.01;
    const Tensor g = Tensor::scalar(size);
    const auto step = [&](auto&& optimizer, const Parameter& w) {
      Tape tape;
      optimizer.step(tape.backward(w.value(), g));
      return w.data().item();
    };
    const double size_of_g = g.item();
    const auto check = [&](const char* rule, double w, double root) {
      const double expected = -kLr * size_of_g / (root + kEps);
      BOOST_TEST(std::abs(w - expected) <= 0.02 * std::abs(expected) + 1e-25,
                 rule << " " << size << ": " << w << ", not " << expected);
    };
    Parameter a(Tensor::scalar(0)), b(Tensor::scalar(0)), c(Tensor::scalar(0));
    check("adagrad", step(optim::AdaGrad({a}, kLr, {.eps = kEps}), a), size_of_g);
    check("rmsprop", step(optim::RMSProp({b}, kLr, {.eps = kEps}), b), 0.1 * size_of_g);
    check("adam", step(optim::Adam({c}, kLr, {.eps = kEps, .form = optim::AdamForm::epsilon}), c), size_of_g);
  }
}

BOOST_AUTO_TEST_CASE(a_large_gradient_is_followed_by_ordinary_steps) {
  // Squares of it leave the range of the dtype. The same formulas in long double know no such range.
  for (const Dtype dtype : {f32, f64})
    for (const double size : dtype == f32 ? std::vector{1e20, -3e38} : std::vector{1e200, -1e308})
      for (const std::string rule : {"adagrad", "rmsprop", "adam", "adamw"}) {
        Parameter w(Tensor::scalar(1, dtype));
        const auto optimizer = optim::make_optimizer(rule, {{.parameters = {w}, .weight_decay = 0}}, kRate);
        long double expected = 1, a = 0, b = 0;
        for (int t = 1; t <= 30; ++t) {
          const double g = t == 3 || t == 4 ? size : 0.5;
          Tape tape;
          optimizer->step(tape.backward(w.value(), Tensor::scalar(g, dtype)));
          const auto d = static_cast<long double>(g);
          if (rule == "adagrad") {
            expected -= kRate * d / (std::sqrt(a += d * d) + 1e-7L);
          } else if (rule == "rmsprop") {
            a = 0.99L * a + 0.01L * d * d;
            expected -= kRate * d / (std::sqrt(a) + 1e-7L);
          } else {
            a = 0.9L * a + 0.1L * d;
            b = 0.999L * b + 0.001L * d * d;
            const long double rate = kRate * std::sqrt(1 - std::pow(0.999L, t)) / (1 - std::pow(0.9L, t));
            expected -= rate * a / (std::sqrt(b) + 1e-7L);
          }
          BOOST_TEST(near(w.data().item(), static_cast<double>(expected), tolerance_of(dtype, 1e-5, 1e-12)),
                     rule << " step " << t << " after " << size << ": " << w.data().item() << ", not "
                          << static_cast<double>(expected));
        }
      }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace update_test
