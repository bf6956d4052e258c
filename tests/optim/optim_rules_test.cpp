#include <cmath>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/gradients.h>

#include <boost/test/unit_test.hpp>

#include "optim_support.h"
#include "support.h"

namespace optim_rules_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(optim_rules)

namespace {

/// One update of an element by a rule with weight decay, as published: coupled decay belongs to the gradient,
/// decoupled decay shrinks the weight beside the rule.
void update(const Rule& rule, Element& e, double g, double lr, int t, double decay, bool decoupled) {
  const double shrunk = decoupled ? lr * decay * e.w : 0;
  const double before = e.w;
  rule.formula(e, decoupled ? g : g + decay * before, lr, t);
  e.w -= shrunk;
}

const Values kV = {0.5, -6};

}  // namespace

BOOST_AUTO_TEST_CASE(each_rule_follows_its_formula_step_by_step) {
  constexpr double kScale = 0.25;
  constexpr double kDecay = 0.3;
  for (const Rule& rule : rules())
    for (const Dtype dtype : {f64, f32}) BOOST_TEST_CONTEXT(rule.name << " in " << name_of(dtype)) {
        const Parameter w = parameter(kW, dtype);
        const Parameter u = parameter(kU, dtype);
        const Parameter v = parameter(kV, dtype);
        const auto optimizer = rule.make({{.parameters = {w}},
                                          {.parameters = {u}, .lr_scale = kScale, .weight_decay = kDecay},
                                          {.parameters = {v}, .weight_decay = kDecay, .decoupled = true}},
                                         0.05);
        BOOST_TEST(optimizer->name() == rule.name);
        std::vector<Element> we(kW.size());
        std::vector<Element> ue(kU.size());
        for (std::size_t i = 0; i < kW.size(); ++i) we[i].w = kW[i];
        for (std::size_t i = 0; i < kU.size(); ++i) ue[i].w = kU[i];
        std::vector<Element> ve(kV.size());
        for (std::size_t i = 0; i < kV.size(); ++i) ve[i].w = kV[i];
        for (int t = 1; t <= 6; ++t) {
          const double lr = t < 4 ? 0.05 : 0.02;
          optimizer->set_lr(lr);
          Gradients g = gradients_of(w, u);
          {
            Tape tape;
            g += tape.backward(bowl(v, 2, 3));
          }
          optimizer->step(g);
          for (Element& e : we) update(rule, e, 3 * (e.w - 0.5), lr, t, rule.weight_decay, rule.decoupled);
          for (Element& e : ue) update(rule, e, 0.7 * (e.w + 1), lr * kScale, t, kDecay, rule.decoupled);
          for (Element& e : ve) update(rule, e, 2 * (e.w - 3), lr, t, kDecay, true);
          BOOST_TEST(optimizer->steps() == t);
          const double tolerance = dtype == f64 ? 1e-13 : 2e-6;
          const Values wv = values_of(w);
          const Values uv = values_of(u);
          for (std::size_t i = 0; i < we.size(); ++i) BOOST_TEST(std::abs(wv[i] - we[i].w) < tolerance * 4);
          for (std::size_t i = 0; i < ue.size(); ++i) BOOST_TEST(std::abs(uv[i] - ue[i].w) < tolerance * 4);
          const Values vv = values_of(v);
          for (std::size_t i = 0; i < ve.size(); ++i) BOOST_TEST(std::abs(vv[i] - ve[i].w) < tolerance * 4);
        }
        for (std::size_t i = 0; i < kW.size(); ++i)
          if (kW[i] != 0.5) BOOST_TEST(values_of(w)[i] != kW[i]);  // it did move
      }
}

// Decoupled decay is not seen by the gradient's size: all weights shrink alike, where coupled decay is
// divided by the size of a large gradient.
BOOST_AUTO_TEST_CASE(decoupled_decay_is_not_divided_by_the_gradient) {
  const auto decayed = [](bool decoupled) {
    const Parameter w = parameter({1, 1}, f64);
    const Parameter plain = parameter({1, 1}, f64);
    Adam adam({{.parameters = {w}, .weight_decay = 0.1, .decoupled = decoupled}, {.parameters = {plain}}},
              0.01);
    for (int i = 0; i < 3; ++i) {
      Gradients g;
      for (const Parameter& p : {w, plain}) g.insert({p.id(), {}}, Tensor::from({100, 0.01}, f64));
      adam.step(g);
    }
    return Values{values_of(plain)[0] - values_of(w)[0], values_of(plain)[1] - values_of(w)[1]};
  };
  const Values decoupled = decayed(true);
  BOOST_TEST(decoupled[0] == 0.003, boost::test_tools::tolerance(0.02));
  BOOST_TEST(decoupled[1] == decoupled[0], boost::test_tools::tolerance(1e-5));
  BOOST_TEST(std::abs(decayed(false)[0]) < 1e-4);
}

BOOST_AUTO_TEST_CASE(the_decay_of_adamw_is_that_of_groups_without_one) {
  const Parameter w = parameter({1}, f64);
  const Parameter u = parameter({1}, f64);
  AdamW adamw({{.parameters = {w}}, {.parameters = {u}, .weight_decay = 0}}, 0.1, 0.5);
  Gradients g;
  for (const Parameter& p : {w, u}) g.insert({p.id(), {}}, Tensor::zeros({1}, f64));
  adamw.step(g);
  BOOST_TEST(values_of(w)[0] == 1 - 0.1 * 0.5);
  BOOST_TEST(values_of(u)[0] == 1);
}

BOOST_AUTO_TEST_CASE(the_settings_of_momentum_and_adam_are_used) {
  const Parameter w = parameter({1}, f64);
  Momentum momentum({w}, 0.1, 0.5);
  Gradients g;
  g.insert({w.id(), {}}, Tensor::full({1}, 2, f64));
  momentum.step(g);
  momentum.step(g);
  BOOST_TEST(std::abs(values_of(w)[0] - (1 - 0.2 - 0.3)) < 1e-15);

  const Parameter n = parameter({1}, f64);
  Nesterov nesterov({n}, 0.1, 0.5);
  Gradients gn;
  gn.insert({n.id(), {}}, Tensor::full({1}, 2, f64));
  nesterov.step(gn);
  nesterov.step(gn);
  BOOST_TEST(std::abs(values_of(n)[0] - (1 - 0.3 - 0.35)) < 1e-15);  // v = -0.2, then -0.3

  const Parameter r = parameter({1}, f64);
  RMSProp rmsprop({r}, 0.1, 0.75);
  Gradients gr;
  gr.insert({r.id(), {}}, Tensor::full({1}, 2, f64));
  rmsprop.step(gr);
  BOOST_TEST(std::abs(values_of(r)[0] - (1 - 0.2 / (1 + 1e-7))) < 1e-15);  // h = 0.25 * 4

  const Parameter u = parameter({1}, f64);
  Adam adam({u}, 0.1, 0.5, 0.75);
  Gradients h;
  h.insert({u.id(), {}}, Tensor::full({1}, 2, f64));
  adam.step(h);
  // m = 1, v = 1, lr_1 = 0.1 sqrt(0.25) / 0.5 = 0.1
  BOOST_TEST(std::abs(values_of(u)[0] - (1 - 0.1 / (1 + 1e-7))) < 1e-15);
}

BOOST_AUTO_TEST_CASE(gradient_descent_of_the_book) {
  const Parameter x = parameter({-3, 4}, f64);
  SGD sgd({x}, 0.1);
  for (int i = 0; i < 100; ++i) {
    Tape tape;
    sgd.step(tape.backward(sum(square(x))));
  }
  BOOST_TEST(values_of(x)[0] == -6.11110793e-10, boost::test_tools::tolerance(1e-8));
  BOOST_TEST(values_of(x)[1] == 8.14814391e-10, boost::test_tools::tolerance(1e-8));
}

BOOST_AUTO_TEST_CASE(the_factory_knows_every_rule_by_name) {
  std::vector<std::string> names;
  for (const Rule& rule : rules()) names.emplace_back(rule.name);
  BOOST_TEST(optimizer_names() == names);
  for (const Rule& rule : rules()) BOOST_TEST_CONTEXT(rule.name) {
      const Parameter a = parameter(kW, f64);
      const Parameter b = parameter(kW, f64);
      const auto made = make_optimizer(rule.name, {a}, 0.05);
      const auto direct = rule.make({b}, 0.05);
      BOOST_TEST(made->name() == rule.name);
      for (int i = 0; i < 3; ++i) {
        Tape tape;
        const Gradients g = tape.backward(bowl(a, 2, 1) + bowl(b, 2, 1));
        made->step(g);
        direct->step(g);
      }
      BOOST_TEST(values_of(a) == values_of(b));
    }
  BOOST_CHECK_EXCEPTION(make_optimizer("Adam", {parameter(kW, f64)}, 0.1), ArgumentError,
                        mentions("'Adam'", "sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace optim_rules_test
