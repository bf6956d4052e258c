#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/gradients.h>
#include <tapegrad/ops/math.h>
#include <tapegrad/ops/reduce.h>
#include <tapegrad/optim/rules.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

using namespace tapegrad;
using namespace tapegrad::optim;
using test::mentions;

BOOST_AUTO_TEST_SUITE(optim)

namespace {

using Values = std::vector<double>;

/// One element of a parameter and what a rule keeps for it.
struct Element {
  double w;
  double a = 0;
  double b = 0;
};
/// The published formula for one element, in double: t is the number of the update.
using Formula = std::function<void(Element&, double g, double lr, int t)>;
using Make = std::function<std::unique_ptr<Optimizer>(const ParameterGroups&, double lr)>;

void sgd_formula(Element& e, double g, double lr, int) { e.w = e.w - lr * g; }
void momentum_formula(Element& e, double g, double lr, int) {
  e.a = 0.9 * e.a - lr * g;
  e.w = e.w + e.a;
}
void nesterov_formula(Element& e, double g, double lr, int) {
  const double before = e.a;
  e.a = 0.9 * e.a - lr * g;
  e.w = e.w + 0.9 * 0.9 * before - (1 + 0.9) * lr * g;
}
void rmsprop_formula(Element& e, double g, double lr, int) {
  e.a = 0.99 * e.a + 0.01 * g * g;
  e.w = e.w - lr * g / (std::sqrt(e.a) + 1e-7);
}
void adagrad_formula(Element& e, double g, double lr, int) {
  e.a = e.a + g * g;
  e.w = e.w - lr * g / (std::sqrt(e.a) + 1e-7);
}
void adam_formula(Element& e, double g, double lr, int t) {
  const double lr_t = lr * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
  e.a = 0.9 * e.a + 0.1 * g;
  e.b = 0.999 * e.b + 0.001 * g * g;
  e.w = e.w - lr_t * e.a / (std::sqrt(e.b) + 1e-7);
}

template <class O>
Make make() {
  return [](const ParameterGroups& groups, double lr) { return std::make_unique<O>(groups, lr); };
}

struct Rule {
  const char* name;
  Make make;
  Formula formula;
  std::size_t moments;
  /// What AdamW does unless told otherwise.
  double weight_decay = 0;
  bool decoupled = false;
};
const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {{"sgd", make<SGD>(), sgd_formula, 0},
                                        {"momentum", make<Momentum>(), momentum_formula, 1},
                                        {"nesterov", make<Nesterov>(), nesterov_formula, 1},
                                        {"adagrad", make<AdaGrad>(), adagrad_formula, 1},
                                        {"rmsprop", make<RMSProp>(), rmsprop_formula, 1},
                                        {"adam", make<Adam>(), adam_formula, 2},
                                        {"adamw", make<AdamW>(), adam_formula, 2, 0.01, true}};
  return all;
}

/// 1/2 sum curvature (w - target)^2, whose gradient is curvature (w - target).
Tensor bowl(const Parameter& w, double curvature, double target) {
  return sum(square(w.value() - target)) * (curvature / 2);
}

Values values_of(const Parameter& p) {
  Values out;
  visit_floating(p.dtype(), [&]<class T> {
    for (const T v : p.data().values<T>()) out.push_back(static_cast<double>(v));
  });
  return out;
}

Gradients gradients_of(const Parameter& w, const Parameter& u) {
  Tape tape;
  return tape.backward(bowl(w, 3, 0.5) + bowl(u, 0.7, -1));
}

/// One update of an element by a rule with weight decay, as published: coupled decay belongs to the gradient,
/// decoupled decay shrinks the weight beside the rule.
void update(const Rule& rule, Element& e, double g, double lr, int t, double decay, bool decoupled) {
  const double shrunk = decoupled ? lr * decay * e.w : 0;
  const double before = e.w;
  rule.formula(e, decoupled ? g : g + decay * before, lr, t);
  e.w -= shrunk;
}

void descend(Optimizer& optimizer, const Parameter& w, const Parameter& u, int steps) {
  for (int i = 0; i < steps; ++i) optimizer.step(gradients_of(w, u));
}

const Values kW = {1, -2, 0.25, 4, 0.5};
const Values kU = {-3, 0.125, 7};
const Values kV = {0.5, -6};

/// All names and values, with enough digits to tell any two apart.
std::string text_of(const State& state) {
  std::string text;
  for (const auto& [name, tensor] : state)
    text += fmt::format("{} {:.17g}\n", name, tensor.dtype() == i64 ? cast(tensor, f64) : tensor);
  return text;
}

Parameter parameter(const Values& values, Dtype dtype) {
  Tensor t = Tensor::empty({static_cast<std::int64_t>(values.size())}, dtype);
  visit_floating(dtype, [&]<class T> {
    std::transform(values.begin(), values.end(), t.mutable_values<T>().begin(),
                   [](double v) { return static_cast<T>(v); });
  });
  return Parameter(t);
}

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

BOOST_AUTO_TEST_CASE(a_parameter_without_a_gradient_stays) {
  for (const Rule& rule : rules()) BOOST_TEST_CONTEXT(rule.name) {
      const Parameter w = parameter(kW, f64);
      Parameter u = parameter(kU, f64);
      const auto optimizer = rule.make({w, u}, 0.1);
      {
        Tape tape;
        optimizer->step(tape.backward(bowl(w, 1, 0)));
      }
      BOOST_TEST(values_of(u) == kU);
      BOOST_TEST(values_of(w) != kW);
      u.freeze();
      descend(*optimizer, w, u, 2);
      BOOST_TEST(values_of(u) == kU);
      u.freeze(false);
      const Gradients both = gradients_of(w, u);
      u.freeze();
      optimizer->step(both);  // frozen since
      BOOST_TEST(values_of(u) == kU);
      const std::int64_t steps = optimizer->steps();
      Tape tape;
      u.freeze(false);
      const Gradients only = tape.backward(bowl(u, 1, 0));
      u.freeze();
      BOOST_CHECK_THROW(optimizer->step(only), Error);
      BOOST_TEST(optimizer->steps() == steps);
      for (const auto& [name, tensor] : optimizer->state())
        if (name.starts_with("1.")) BOOST_TEST(tensor.to_vector<double>() == Values(kU.size(), 0));
    }
}

BOOST_AUTO_TEST_CASE(a_step_without_any_gradient_is_an_error) {
  const Parameter w = parameter(kW, f64);
  const Parameter u = parameter(kU, f64);
  SGD sgd({u}, 0.1);
  Tape tape;
  const Gradients g = tape.backward(bowl(w, 1, 0));
  BOOST_CHECK_EXCEPTION(sgd.step(g), Error, mentions("sgd", "none of the 1 parameters", "'0'"));
  BOOST_CHECK_THROW(sgd.step(Gradients()), Error);
  BOOST_TEST(sgd.steps() == 0);
}

BOOST_AUTO_TEST_CASE(gradients_that_do_not_fit_change_nothing) {
  const Parameter w = parameter(kW, f64);
  const Parameter u = parameter(kU, f64);
  Adam adam({w, u}, 0.1);
  Gradients shape;
  shape.insert({w.id(), {}}, Tensor::ones({5}, f64));
  shape.insert({u.id(), {}}, Tensor::ones({4}, f64));
  BOOST_CHECK_EXCEPTION(adam.step(shape), ShapeError, mentions("adam", "'1'", "[4]", "[3]"));
  Gradients dtype;
  dtype.insert({w.id(), {}}, Tensor::ones({5}, f64));
  dtype.insert({u.id(), {}}, Tensor::ones({3}, f32));
  BOOST_CHECK_EXCEPTION(adam.step(dtype), DtypeError, mentions("adam", "'1'", "f32", "f64"));
  BOOST_TEST(values_of(w) == kW);
  BOOST_TEST(adam.steps() == 0);
}

BOOST_AUTO_TEST_CASE(a_step_is_plain_under_any_tape) {
  const Parameter w = parameter({1, 2}, f64);
  SGD sgd({w}, 0.5);
  Tape tape;
  const Tensor loss = sum(square(w));
  const Gradients g = tape.backward(loss, Keep::yes);
  const std::size_t nodes = tape.size();
  BOOST_TEST(tape.active());
  sgd.step(g);
  BOOST_TEST(values_of(w) == Values({0, 0}));
  BOOST_TEST(tape.size() == nodes);
  BOOST_CHECK_THROW(sum(w), MutatedSaved);  // the active tape saw the old value
  tape.reset();
  sgd.step(tape.backward(sum(w.value() * 4)));
  BOOST_TEST(tape.spent());
  BOOST_TEST(values_of(w) == Values({-2, -2}));
  sgd.step(g);
  BOOST_TEST(values_of(w) == Values({-3, -4}));
}

BOOST_AUTO_TEST_CASE(a_restored_optimizer_continues_bit_for_bit) {
  for (const Rule& rule : rules())
    for (const Dtype dtype : {f64, f32}) BOOST_TEST_CONTEXT(rule.name << " in " << name_of(dtype)) {
        const auto groups = [dtype](const Parameter& w, const Parameter& u) {
          return ParameterGroups{
              {.parameters = {w}},
              {.parameters = {u}, .lr_scale = 0.5, .weight_decay = 0.1, .decoupled = dtype == f32}};
        };
        const Parameter w = parameter(kW, dtype);
        const Parameter u = parameter(kU, dtype);
        const auto optimizer = rule.make(groups(w, u), 0.05);
        descend(*optimizer, w, u, 2);
        optimizer->set_lr(0.03);
        descend(*optimizer, w, u, 2);

        const Parameter w2 = w.clone();
        const Parameter u2 = u.clone();
        const auto restored = rule.make(groups(w2, u2), 1);
        const State saved = optimizer->state();
        const std::string text = text_of(saved);
        BOOST_TEST(saved.size() == 2 + 2 * rule.moments);
        restored->load_state(saved);
        BOOST_TEST(restored->steps() == 4);
        BOOST_TEST(restored->lr() == 0.03);
        descend(*optimizer, w, u, 3);  // what was saved are copies: this does not reach them
        descend(*restored, w2, u2, 3);
        BOOST_TEST(values_of(w) == values_of(w2));
        BOOST_TEST(values_of(u) == values_of(u2));

        const auto other = rule.make(groups(w2.clone(), u2.clone()), 1);
        other->load_state(saved);
        BOOST_TEST(text_of(other->state()) == text);
      }
}

BOOST_AUTO_TEST_CASE(a_state_that_does_not_fit_changes_nothing) {
  const Parameter w = parameter(kW, f64);
  const Parameter u = parameter(kU, f64);
  Adam adam(ParameterList({{"w", w}, {"u", u}}), 0.05);
  descend(adam, w, u, 2);
  const State good = adam.state();
  std::vector<std::string> names;
  for (const auto& [name, tensor] : good) names.push_back(name);
  BOOST_TEST(names == std::vector<std::string>({"step", "lr", "w.m", "w.v", "u.m", "u.v"}));

  const auto with = [&](std::size_t i, const Tensor& t) {
    State s = good;
    s[i].second = t;
    return s;
  };
  State missing = good;
  missing.pop_back();
  missing[2].first = "x.m";
  BOOST_CHECK_EXCEPTION(adam.load_state(missing), ArgumentError,
                        mentions("adam", "missing: w.m, u.v", "unexpected: x.m"));
  State twice = good;
  twice.push_back(good[2]);
  BOOST_CHECK_EXCEPTION(adam.load_state(twice), ArgumentError, mentions("'w.m' is given twice"));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(3, Tensor())), ArgumentError, mentions("'w.v'", "undefined"));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(5, Tensor::ones({4}, f64))), ShapeError,
                        mentions("'u.v'", "[4]", "[3]"));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(5, Tensor::ones({3}))), DtypeError,
                        mentions("'u.v'", "f32", "f64"));
  BOOST_CHECK_THROW(adam.load_state(with(0, Tensor::scalar(1, f64))), DtypeError);
  BOOST_CHECK_EXCEPTION(adam.load_state(with(0, Tensor::scalar(-1, i64))), ArgumentError,
                        mentions("'step' is -1"));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(1, Tensor::scalar(-1, f64))), ArgumentError,
                        mentions("learning rate is -1"));

  const State after = adam.state();
  BOOST_TEST(adam.steps() == 2);
  BOOST_TEST(adam.lr() == 0.05);
  for (std::size_t i = 2; i < good.size(); ++i)
    BOOST_TEST(after[i].second.to_vector<double>() == good[i].second.to_vector<double>());
}

BOOST_AUTO_TEST_CASE(what_an_optimizer_takes_is_checked) {
  const Parameter w = parameter(kW, f64);
  const Parameter u = parameter(kU, f64);
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  BOOST_CHECK_EXCEPTION(SGD(std::vector<Parameter>{}, 0.1), ArgumentError, mentions("sgd", "no parameters"));
  BOOST_CHECK_EXCEPTION(SGD({w, Parameter()}, 0.1), ArgumentError, mentions("'1' is undefined"));
  BOOST_CHECK_EXCEPTION(SGD({w, w}, 0.1), ArgumentError, mentions("'1' is listed twice"));
  BOOST_CHECK_EXCEPTION(SGD({{.parameters = {w}}, {.parameters = {u, w}}}, 0.1), ArgumentError,
                        mentions("'1.1' is listed twice"));
  BOOST_CHECK_EXCEPTION(SGD(ParameterList({{"a", w}, {"a", u}}), 0.1), ArgumentError, mentions("called 'a'"));
  for (const double lr : {-0.1, kNaN, kInfinity}) {
    BOOST_CHECK_EXCEPTION(SGD({w}, lr), ArgumentError, mentions("learning rate"));
    SGD sgd({w}, 0.1);
    BOOST_CHECK_THROW(sgd.set_lr(lr), ArgumentError);
    BOOST_TEST(sgd.lr() == 0.1);
    BOOST_CHECK_EXCEPTION(SGD({{.parameters = {w}, .lr_scale = lr}}, 0.1), ArgumentError,
                          mentions("lr_scale"));
    BOOST_CHECK_EXCEPTION(SGD({{.parameters = {w}, .weight_decay = lr}}, 0.1), ArgumentError,
                          mentions("weight_decay"));
  }
  for (const double momentum : {-0.1, 1.0, kNaN})
    BOOST_CHECK_EXCEPTION(Momentum({w}, 0.1, momentum), ArgumentError, mentions("momentum", "less than 1"));
  for (const double momentum : {-0.1, 1.0, kNaN})
    BOOST_CHECK_EXCEPTION(Nesterov({w}, 0.1, momentum), ArgumentError, mentions("nesterov", "momentum"));
  for (const double decay : {-0.1, 1.0, kNaN})
    BOOST_CHECK_EXCEPTION(RMSProp({w}, 0.1, decay), ArgumentError, mentions("rmsprop", "decay"));
  for (const double decay : {-0.1, kInfinity, kNaN})
    BOOST_CHECK_EXCEPTION(AdamW({w}, 0.1, decay), ArgumentError, mentions("adamw", "weight_decay"));
  BOOST_CHECK_EXCEPTION(AdamW({w}, 0.1, 0.01, 1.0), ArgumentError, mentions("adamw", "beta1"));
  BOOST_CHECK_EXCEPTION(Adam({w}, 0.1, 1.0), ArgumentError, mentions("beta1"));
  BOOST_CHECK_EXCEPTION(Adam({w}, 0.1, 0.9, -1), ArgumentError, mentions("beta2"));
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
