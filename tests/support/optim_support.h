#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/optim/rules.h>

/// Every rule beside its published formula, and bowls to descend.
namespace tapegrad::test {

using namespace optim;

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

inline void sgd_formula(Element& e, double g, double lr, int) { e.w = e.w - lr * g; }
inline void momentum_formula(Element& e, double g, double lr, int) {
  e.a = 0.9 * e.a - lr * g;
  e.w = e.w + e.a;
}
inline void nesterov_formula(Element& e, double g, double lr, int) {
  const double before = e.a;
  e.a = 0.9 * e.a - lr * g;
  e.w = e.w + 0.9 * 0.9 * before - (1 + 0.9) * lr * g;
}
inline void rmsprop_formula(Element& e, double g, double lr, int) {
  e.a = 0.99 * e.a + 0.01 * g * g;
  e.w = e.w - lr * g / (std::sqrt(e.a) + 1e-7);
}
inline void adagrad_formula(Element& e, double g, double lr, int) {
  e.a = e.a + g * g;
  e.w = e.w - lr * g / (std::sqrt(e.a) + 1e-7);
}
inline void adam_formula(Element& e, double g, double lr, int t) {
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
inline const std::vector<Rule>& rules() {
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
inline Tensor bowl(const Parameter& w, double curvature, double target) {
  return sum(square(w.value() - target)) * (curvature / 2);
}

inline Values values_of(const Parameter& p) {
  Values out;
  visit_floating(p.dtype(), [&]<class T> {
    for (const T v : p.values<T>()) out.push_back(static_cast<double>(v));
  });
  return out;
}

inline Gradients gradients_of(const Parameter& w, const Parameter& u) {
  Tape tape;
  return tape.backward(bowl(w, 3, 0.5) + bowl(u, 0.7, -1));
}

inline void descend(Optimizer& optimizer, const Parameter& w, const Parameter& u, int steps) {
  for (int i = 0; i < steps; ++i) optimizer.step(gradients_of(w, u));
}

inline const Values kW = {1, -2, 0.25, 4, 0.5};
inline const Values kU = {-3, 0.125, 7};

inline Parameter parameter(const Values& values, Dtype dtype) {
  Tensor t = Tensor::empty({static_cast<std::int64_t>(values.size())}, dtype);
  visit_floating(dtype, [&]<class T> {
    std::transform(values.begin(), values.end(), t.mutable_values<T>().begin(),
                   [](double v) { return static_cast<T>(v); });
  });
  return Parameter(t);
}

}  // namespace tapegrad::test
