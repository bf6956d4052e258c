#include <limits>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>

#include <boost/test/unit_test.hpp>

#include "optim_support.h"
#include "support.h"

namespace optim_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(optim)

namespace {

/// All names and values, with enough digits to tell any two apart.
std::string text_of(const State& state) {
  std::string text;
  for (const auto& [name, tensor] : state)
    text += fmt::format("{} {:.17g}\n", name, tensor.dtype() == i64 ? cast(tensor, f64) : tensor);
  return text;
}

}  // namespace

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
        if (name.starts_with("1.")) BOOST_TEST(max(abs(cast(tensor, f64))).item() == 0, name);
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
  const Gradients g = tape.backward(loss, RetainGraph::yes);
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
        BOOST_TEST(saved.size() == 2 + 2 * (rule.moments + 1));
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
  BOOST_TEST(names ==
             std::vector<std::string>({"step", "lr", "w.m", "w.v", "w.step", "u.m", "u.v", "u.step"}));

  const auto with = [&](std::size_t i, const Tensor& t) {
    State s = good;
    s[i].second = t;
    return s;
  };
  State missing = good;
  missing.pop_back();
  missing[2].first = "x.m";
  BOOST_CHECK_EXCEPTION(adam.load_state(missing), ArgumentError,
                        mentions("adam", "missing: w.m, u.step", "unexpected: x.m"));
  State twice = good;
  twice.push_back(good[2]);
  BOOST_CHECK_EXCEPTION(adam.load_state(twice), ArgumentError, mentions("'w.m' is given twice"));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(3, Tensor())), ArgumentError, mentions("'w.v'", "undefined"));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(6, Tensor::ones({4}, f64))), ShapeError,
                        mentions("'u.v'", "[4]", "[3]"));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(6, Tensor::ones({3}))), DtypeError,
                        mentions("'u.v'", "f32", "f64"));
  BOOST_CHECK_THROW(adam.load_state(with(0, Tensor::scalar(1, f64))), DtypeError);
  BOOST_CHECK_EXCEPTION(adam.load_state(with(0, Tensor::scalar(-1, i64))), ArgumentError,
                        mentions("'step' is -1"));
  for (const double step : {-1, 3})
    BOOST_CHECK_EXCEPTION(adam.load_state(with(7, Tensor::scalar(step, i64))), ArgumentError,
                          mentions("'u.step'", fmt::format("{} of 2", step)));
  BOOST_CHECK_EXCEPTION(adam.load_state(with(1, Tensor::scalar(-1, f64))), ArgumentError,
                        mentions("learning rate is -1"));

  const State after = adam.state();
  BOOST_TEST(adam.steps() == 2);
  BOOST_TEST(adam.lr() == 0.05);
  BOOST_TEST(text_of(after) == text_of(good));
}

BOOST_AUTO_TEST_CASE(what_an_optimizer_takes_is_checked) {
  const Parameter w = parameter(kW, f64);
  const Parameter u = parameter(kU, f64);
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  BOOST_CHECK_EXCEPTION(SGD(std::vector<Parameter>{}, 0.1), ArgumentError, mentions("sgd", "no parameters"));
  BOOST_CHECK_EXCEPTION(SGD({w, Parameter()}, 0.1), ArgumentError, mentions("'1' is undefined"));
  BOOST_CHECK_EXCEPTION(SGD({{.parameters = {w}}, {.parameters = {Parameter()}}}, 0.1), ArgumentError,
                        mentions("'0' of group 1 is undefined"));
  BOOST_CHECK_EXCEPTION(SGD({w, w}, 0.1), ArgumentError, mentions("'1' is listed twice"));
  BOOST_CHECK_EXCEPTION(SGD({{.parameters = {w}}, {.parameters = {u, w}}}, 0.1), ArgumentError,
                        mentions("'1.1' is listed twice"));
  // The group's number tells parameters of one name apart, and stands nowhere else.
  BOOST_TEST(SGD({{.parameters = {w}}, {.parameters = {u}}}, 0.1).state().back().first == "1.0.step");
  BOOST_TEST(
      SGD({{.parameters = ParameterList({{"w", w}})}, {.parameters = {u}}}, 0.1).state().back().first ==
      "0.step");
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

  // In the numbers that are computed with.
  const Parameter narrow = parameter(kW, f32);
  for (const double lr : {1e32, 1e300}) {
    BOOST_CHECK_EXCEPTION(SGD({narrow}, lr), ArgumentError, mentions("sgd", "learning rate", "f32"));
    BOOST_CHECK_EXCEPTION(SGD({{.parameters = {w}}, {.parameters = {narrow}, .weight_decay = lr}}, 0.1),
                          ArgumentError, mentions("weight_decay", "f32"));
    BOOST_CHECK_EXCEPTION(SGD({{.parameters = {narrow}, .lr_scale = lr}}, 1), ArgumentError,
                          mentions("learning rate"));
    SGD sgd({narrow}, 0.1);
    BOOST_CHECK_THROW(sgd.set_lr(lr), ArgumentError);
    BOOST_TEST(sgd.lr() == 0.1);
  }
  BOOST_CHECK_EXCEPTION(AdamW({narrow}, 1e31, 1e31), ArgumentError, mentions("times weight_decay", "f32"));
  const double momentum = 1 - 1e-9;
  BOOST_CHECK_EXCEPTION(Momentum({narrow}, 0.1, momentum), ArgumentError, mentions("1 in f32"));
  BOOST_CHECK_EXCEPTION(Nesterov({narrow}, 0.1, momentum), ArgumentError, mentions("1 in f32"));
  BOOST_CHECK_EXCEPTION(SGD({narrow}, 0.1, {.momentum = momentum}), ArgumentError, mentions("1 in f32"));
  BOOST_CHECK_EXCEPTION(RMSProp({narrow}, 0.1, {.momentum = momentum}), ArgumentError, mentions("1 in f32"));
  BOOST_CHECK_NO_THROW(Momentum({w}, 0.1, momentum));
  for (const double eps : {1e-60, 1e-30}) {
    BOOST_CHECK_EXCEPTION(Adam({narrow}, 0.1, {.eps = eps}), ArgumentError,
                          mentions("adam", "eps", "f32", "8.7e-19"));
    BOOST_CHECK_EXCEPTION(AdaGrad({narrow}, 0.1, {.eps = eps}), ArgumentError,
                          mentions("adagrad", "eps", "f32"));
    BOOST_CHECK_EXCEPTION(RMSProp({narrow}, 0.1, {.eps = eps}), ArgumentError,
                          mentions("rmsprop", "eps", "f32"));
    BOOST_CHECK_NO_THROW(Adam({w}, 0.1, {.eps = eps}));
  }
  BOOST_CHECK_EXCEPTION(Adam({w}, 0.1, {.eps = 1e-160}), ArgumentError, mentions("eps", "f64", "1.2e-153"));

  struct OwnRule : Optimizer {
    OwnRule(const ParameterGroups& parameters, std::vector<std::string_view> moments)
        : Optimizer("own", parameters, 0.1, std::move(moments)) {}
    void update(Parameter&, const Tensor&, std::span<Tensor>, const Rates&) override {}
  };
  BOOST_CHECK_EXCEPTION(OwnRule({w}, {"v", "step"}), ArgumentError, mentions("own", "'step'"));
  BOOST_CHECK_EXCEPTION(OwnRule({w}, {"a", "b", "c", "d"}), ArgumentError, mentions("own", "4 moments", "3"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace optim_test
