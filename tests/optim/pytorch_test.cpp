// The update rules beside the recurrences that PyTorch's documentation publishes, written out in double:
// https://pytorch.org/docs/stable/optim.html.
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>

#include <boost/test/unit_test.hpp>

#include "optim_support.h"
#include "support.h"

namespace pytorch_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(pytorch)

namespace {

constexpr double kLr = 0.05;

/// Element i's gradient in update t: of both signs, and for two elements as small as PyTorch's eps.
double gradient(std::size_t i, int t) {
  static const double scales[] = {1, -3, 0.01, 2e-8, -1e-7};
  return scales[i] * (1 + 0.25 * std::sin(t + static_cast<double>(i)));
}

/// One element of a parameter with PyTorch's names for what is kept: its update is given g and t, from 1.
struct Recurrence {
  double p = 0;
  double a = 0, b = 0, c = 0;
};
using Update = std::function<void(Recurrence&, double g, int t, double lr)>;

/// Ten updates by the optimizer and by the recurrence, with a rate that falls once.
void check_recurrence(const std::function<std::unique_ptr<Optimizer>(const Parameter&)>& make,
                      const Update& update) {
  for (const Dtype dtype : {f64, f32}) {
    const Parameter w = parameter(kW, dtype);
    const auto optimizer = make(w);
    std::vector<Recurrence> expected(kW.size());
    for (std::size_t i = 0; i < kW.size(); ++i) expected[i].p = kW[i];
    for (int t = 1; t <= 10; ++t) {
      const double lr = t <= 5 ? kLr : kLr / 2;
      optimizer->set_lr(lr);
      Values g;
      for (std::size_t i = 0; i < kW.size(); ++i) g.push_back(gradient(i, t));
      Gradients gradients;
      gradients.insert({w.id(), {}}, parameter(g, dtype).data());
      optimizer->step(gradients);
      const Values got = values_of(w);
      for (std::size_t i = 0; i < kW.size(); ++i) {
        update(expected[i], g[i], t, lr);
        BOOST_TEST_CONTEXT(name_of(dtype) << " update " << t << " element " << i)
        BOOST_TEST(std::abs(got[i] - expected[i].p) < (dtype == f64 ? 1e-13 : 4e-6));
      }
    }
  }
}

template <class O, class Options>
auto maker(const Options& options) {
  return [options](const Parameter& w) -> std::unique_ptr<Optimizer> {
    return std::make_unique<O>(ParameterGroups{w}, kLr, options);
  };
}

/// torch.optim.Adam: exp_avg, exp_avg_sq, both corrected, eps beside the root of the second.
Update adam(double beta1, double beta2, double eps, double decoupled_decay = 0) {
  return [=](Recurrence& e, double g, int t, double lr) {
    e.p -= lr * decoupled_decay * e.p;
    e.a = beta1 * e.a + (1 - beta1) * g;
    e.b = beta2 * e.b + (1 - beta2) * g * g;
    const double m_hat = e.a / (1 - std::pow(beta1, t));
    const double v_hat = e.b / (1 - std::pow(beta2, t));
    e.p -= lr * m_hat / (std::sqrt(v_hat) + eps);
  };
}

}  // namespace

BOOST_AUTO_TEST_CASE(adam_and_adamw) {
  check_recurrence(maker<Adam>(AdamOptions::pytorch()), adam(0.9, 0.999, 1e-8));
  check_recurrence(maker<Adam>(AdamOptions{.betas = {0.8, 0.9}, .eps = 1e-3, .form = AdamForm::epsilon}),
                   adam(0.8, 0.9, 1e-3));
  check_recurrence(maker<AdamW>(AdamWOptions::pytorch()), adam(0.9, 0.999, 1e-8, 0.01));
  check_recurrence(maker<AdamW>(AdamWOptions{
                       .weight_decay = 0.1, .betas = {0.5, 0.99}, .eps = 1e-6, .form = AdamForm::epsilon}),
                   adam(0.5, 0.99, 1e-6, 0.1));
}

// The form of the end of the paper's section 2, with a number of one's own.
BOOST_AUTO_TEST_CASE(adam_with_epsilon_hat) {
  check_recurrence(maker<Adam>(AdamOptions{.betas = {0.8, 0.95}, .eps = 1e-4}),
                   [](Recurrence& e, double g, int t, double lr) {
                     e.a = 0.8 * e.a + 0.2 * g;
                     e.b = 0.95 * e.b + 0.05 * g * g;
                     const double lr_t = lr * std::sqrt(1 - std::pow(0.95, t)) / (1 - std::pow(0.8, t));
                     e.p -= lr_t * e.a / (std::sqrt(e.b) + 1e-4);
                   });
}

// Where the gradient is as small as eps, the first update of the two forms differs by the factor that the
// documentation gives.
BOOST_AUTO_TEST_CASE(the_two_forms_differ_for_small_gradients) {
  const auto first_step = [](AdamForm form) {
    const Parameter w = parameter({0}, f64);
    Adam adam({w}, 1, {.eps = 1e-8, .form = form});
    Gradients g;
    g.insert({w.id(), {}}, Tensor::full({1}, 1e-8, f64));
    adam.step(g);
    return -values_of(w)[0];
  };
  const double root = std::sqrt(1 - 0.999);
  BOOST_TEST(first_step(AdamForm::epsilon) == 0.5, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(first_step(AdamForm::epsilon_hat) == root / (root + 1), boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(adagrad) {
  check_recurrence(maker<AdaGrad>(AdaGradOptions{.eps = 1e-10}), [](Recurrence& e, double g, int, double lr) {
    e.a += g * g;  // state_sum
    e.p -= lr * g / (std::sqrt(e.a) + 1e-10);
  });
}

BOOST_AUTO_TEST_CASE(rmsprop) {
  for (const double momentum : {0.0, 0.9})
    for (const bool centered : {false, true}) BOOST_TEST_CONTEXT(momentum << (centered ? " centered" : "")) {
        const double alpha = 0.95, eps = 1e-4;
        check_recurrence(maker<RMSProp>(RMSPropOptions{
                             .decay = alpha, .eps = eps, .momentum = momentum, .centered = centered}),
                         [=](Recurrence& e, double g, int, double lr) {
                           e.a = alpha * e.a + (1 - alpha) * g * g;  // square_avg
                           e.b = alpha * e.b + (1 - alpha) * g;      // grad_avg
                           const double avg = std::sqrt(centered ? e.a - e.b * e.b : e.a) + eps;
                           e.c = momentum * e.c + g / avg;  // momentum_buffer
                           e.p -= lr * (momentum > 0 ? e.c : g / avg);
                         });
      }
}

BOOST_AUTO_TEST_CASE(sgd_with_momentum) {
  const auto recurrence = [](double momentum, double dampening, bool nesterov) -> Update {
    return [=](Recurrence& e, double g, int t, double lr) {
      e.a = t == 1 ? g : momentum * e.a + (1 - dampening) * g;  // momentum_buffer
      e.p -= lr * (nesterov ? g + momentum * e.a : e.a);
    };
  };
  check_recurrence(maker<SGD>(SGDOptions{.momentum = 0.9}), recurrence(0.9, 0, false));
  check_recurrence(maker<SGD>(SGDOptions{.momentum = 0.8, .dampening = 0.3}), recurrence(0.8, 0.3, false));
  check_recurrence(maker<SGD>(SGDOptions{.momentum = 0.9, .nesterov = true}), recurrence(0.9, 0, true));
  check_recurrence(maker<SGD>(SGDOptions{}), [](Recurrence& e, double g, int, double lr) { e.p -= lr * g; });
}

// The book's form, whose velocity holds the rate.
BOOST_AUTO_TEST_CASE(momentum_and_nesterov) {
  check_recurrence(maker<Momentum>(MomentumOptions{.momentum = 0.8, .dampening = 0.25}),
                   [](Recurrence& e, double g, int, double lr) {
                     e.a = 0.8 * e.a - 0.75 * lr * g;
                     e.p += e.a;
                   });
  check_recurrence(maker<Nesterov>(NesterovOptions{.momentum = 0.8}),
                   [](Recurrence& e, double g, int, double lr) {
                     e.a = 0.8 * e.a - lr * g;
                     e.p += 0.8 * e.a - lr * g;
                   });
}

// What PyTorch counts, it counts for each parameter: `late` has its first gradient in the optimizer's third update,
// and none in the sixth, when it is frozen. From each of the updates on, an optimizer that was restored goes on in
// the same way.
BOOST_AUTO_TEST_CASE(a_parameter_starts_with_its_first_gradient) {
  const auto check =
      [](const std::function<std::unique_ptr<Optimizer>(const ParameterGroups&)>& make_optimizer,
         const Update& update) {
        const Parameter early = parameter(kW, f64);
        Parameter late = parameter(kW, f64);
        auto optimizer = make_optimizer({early, late});
        std::vector<Recurrence> expected(kW.size());
        for (std::size_t i = 0; i < kW.size(); ++i) expected[i].p = kW[i];
        int own = 0;
        for (int t = 1; t <= 8; ++t) {
          BOOST_TEST_CONTEXT("update " << t) {
            Values g;
            for (std::size_t i = 0; i < kW.size(); ++i) g.push_back(gradient(i, t));
            Gradients gradients;
            gradients.insert({early.id(), {}}, parameter(g, f64).data());
            if (t >= 3) gradients.insert({late.id(), {}}, parameter(g, f64).data());
            late.freeze(t == 6);
            optimizer->step(gradients);
            if (t >= 3 && t != 6) {
              ++own;
              for (std::size_t i = 0; i < kW.size(); ++i) update(expected[i], g[i], own, kLr);
            }
            const Values got = values_of(late);
            for (std::size_t i = 0; i < kW.size(); ++i) BOOST_TEST(std::abs(got[i] - expected[i].p) < 1e-13);
            auto restored = make_optimizer({early, late});
            restored->load_state(optimizer->state());
            optimizer = std::move(restored);
          }
        }
        BOOST_TEST(own == 5);
        BOOST_TEST(optimizer->steps() == 8);
      };
  check(
      [](const ParameterGroups& p) {
        return std::make_unique<SGD>(p, kLr, SGDOptions{.momentum = 0.8, .dampening = 0.3});
      },
      [](Recurrence& e, double g, int t, double lr) {
        e.a = t == 1 ? g : 0.8 * e.a + 0.7 * g;
        e.p -= lr * e.a;
      });
  check([](const ParameterGroups& p) { return std::make_unique<Adam>(p, kLr, AdamOptions::pytorch()); },
        adam(0.9, 0.999, 1e-8));
  check([](const ParameterGroups& p) { return std::make_unique<AdamW>(p, kLr, AdamWOptions::pytorch()); },
        adam(0.9, 0.999, 1e-8, 0.01));
}

BOOST_AUTO_TEST_CASE(settings_by_struct_and_by_number_are_the_same) {
  const auto same = [](auto make_one, auto make_other) {
    const Parameter a = parameter(kW, f64);
    const Parameter b = parameter(kW, f64);
    const auto one = make_one(a);
    const auto other = make_other(b);
    for (int t = 1; t <= 3; ++t)
      for (const auto& [w, optimizer] : {std::pair<Parameter, Optimizer*>(a, one.get()), {b, other.get()}}) {
        Gradients g;
        g.insert({w.id(), {}}, Tensor::full(w.shape(), 0.3 * t, f64));
        optimizer->step(g);
      }
    BOOST_TEST(values_of(a) == values_of(b));
  };
  using Groups = ParameterGroups;
  same([](Parameter w) { return std::make_unique<Adam>(Groups{w}, 0.1, 0.8, 0.9); },
       [](Parameter w) {
         return std::make_unique<Adam>(Groups{w}, 0.1, AdamOptions{.betas = {0.8, 0.9}});
       });
  same(
      [](Parameter w) { return std::make_unique<AdamW>(Groups{w}, 0.1, 0.5); },
      [](Parameter w) { return std::make_unique<AdamW>(Groups{w}, 0.1, AdamWOptions{.weight_decay = 0.5}); });
  same([](Parameter w) { return std::make_unique<Momentum>(Groups{w}, 0.1, 0.5); },
       [](Parameter w) {
         return std::make_unique<Momentum>(Groups{w}, 0.1, MomentumOptions{.momentum = 0.5});
       });
  same([](Parameter w) { return std::make_unique<RMSProp>(Groups{w}, 0.1, 0.5); },
       [](Parameter w) { return std::make_unique<RMSProp>(Groups{w}, 0.1, RMSPropOptions{.decay = 0.5}); });
  // As a program writes them.
  const Parameter w = parameter(kW, f32);
  const Adam plain({w}, 0.001);
  const Adam chosen({w}, 0.001, {.betas = {0.9, 0.99}, .eps = 1e-8});
  const SGD sgd({w}, 0.1, {.momentum = 0.9, .nesterov = true});
  BOOST_TEST(chosen.name() == "adam");
  BOOST_TEST(sgd.state().size() == 4U);
  BOOST_TEST(SGD({w}, 0.1).state().size() == 3U);
}

BOOST_AUTO_TEST_CASE(what_is_kept_is_saved_and_loaded) {
  const auto make = [](const Parameter& w) {
    return std::make_unique<RMSProp>(ParameterGroups{w}, kLr,
                                     RMSPropOptions{.momentum = 0.9, .centered = true});
  };
  const auto step = [](Optimizer& optimizer, const Parameter& w, int t) {
    Gradients g;
    g.insert({w.id(), {}}, Tensor::full(w.shape(), 0.1 * t, f64));
    optimizer.step(g);
  };
  const Parameter w = parameter(kW, f64);
  const auto one = make(w);
  for (int t = 1; t <= 3; ++t) step(*one, w, t);
  std::string names;
  for (const auto& [name, tensor] : one->state()) names += name + " ";
  BOOST_TEST(names == "step lr 0.h 0.mean 0.v 0.step ");
  const Parameter v = w.clone();
  const auto other = make(v);
  other->load_state(one->state());
  for (int t = 4; t <= 6; ++t) {
    step(*one, w, t);
    step(*other, v, t);
  }
  BOOST_TEST(values_of(w) == values_of(v));
}

BOOST_AUTO_TEST_CASE(settings_that_cannot_be_are_refused) {
  const Parameter w = parameter(kW, f32);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double eps : {0.0, -1.0, kInfinity, std::nan("")}) {
    BOOST_CHECK_EXCEPTION(Adam({w}, 0.1, {.eps = eps}), ArgumentError, mentions("adam", "eps"));
    BOOST_CHECK_EXCEPTION(AdamW({w}, 0.1, {.eps = eps}), ArgumentError, mentions("adamw", "eps"));
    BOOST_CHECK_EXCEPTION(AdaGrad({w}, 0.1, {.eps = eps}), ArgumentError, mentions("adagrad", "eps"));
    BOOST_CHECK_EXCEPTION(RMSProp({w}, 0.1, {.eps = eps}), ArgumentError, mentions("rmsprop", "eps"));
  }
  BOOST_CHECK_EXCEPTION(RMSProp({w}, 0.1, {.momentum = 1}), ArgumentError, mentions("rmsprop", "momentum"));
  BOOST_CHECK_EXCEPTION(Momentum({w}, 0.1, {.dampening = 1.5}), ArgumentError, mentions("dampening is 1.5"));
  BOOST_CHECK_EXCEPTION(SGD({w}, 0.1, {.momentum = -0.1}), ArgumentError, mentions("sgd", "momentum"));
  BOOST_CHECK_EXCEPTION(SGD({w}, 0.1, {.nesterov = true}), ArgumentError, mentions("needs a momentum"));
  BOOST_CHECK_EXCEPTION(SGD({w}, 0.1, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}), ArgumentError,
                        mentions("no dampening"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace pytorch_test
