#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/kernels/parallel.h>
#include <tapegrad/ops/kernels/with_isa.h>
#include <tapegrad/optim/rules.h>

#include <fmt/format.h>

namespace tapegrad::optim {

using detail::in_steps;
using detail::parallel_ranges;
using detail::with_isa;

namespace {

constexpr double kSmall = 1e-7;  // as in the book

constexpr std::int64_t kShare = 32 * 1024;  // elements worth waking a thread for

template <class T, class Rule, class... M>
void sweep(std::int64_t n, T* w, const T* g, T weight_decay, Rule rule, M*... moments) {
  if (weight_decay == 0)
    in_steps(n, [&](std::int64_t i) { rule(w[i], g[i], moments[i]...); });
  else
    in_steps(n, [&](std::int64_t i) { rule(w[i], g[i] + weight_decay * w[i], moments[i]...); });
}

/// One pass over a parameter: make_rule(T{}) gives the update of one element, rule(w, g, moment...), in
/// numbers of type T, the dtype of the parameter.
template <std::size_t Moments, class MakeRule>
void for_each_element(Parameter& w, const Tensor& g, std::span<Tensor> moments, double weight_decay,
                      const MakeRule& make_rule) {
  visit_floating(w.dtype(), [&]<class T> {
    const auto rule = make_rule(T{});
    T* const values = w.mutable_values<T>().data();
    const T* const gradient = g.values<T>().data();
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      const std::array<T*, Moments> kept{moments[I].template mutable_values<T>().data()...};
      parallel_ranges(g.size(), kShare, [&](std::int64_t begin, std::int64_t end) {
        with_isa([&]() {
          sweep(end - begin, values + begin, gradient + begin, static_cast<T>(weight_decay), rule,
                kept[I] + begin...);
        });
      });
    }
    (std::make_index_sequence<Moments>{});
  });
}

}  // namespace

SGD::SGD(const ParameterGroups& parameters, double lr) : Optimizer("sgd", parameters, lr) {}

void SGD::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr, double weight_decay) {
  for_each_element<0>(w, g, moments, weight_decay, [=]<class T>(T) {
    return [rate = static_cast<T>(lr)](T& w_i, T g_i) { w_i -= rate * g_i; };
  });
}

Momentum::Momentum(const ParameterGroups& parameters, double lr, double momentum)
    : Optimizer("momentum", parameters, lr, {"v"}), momentum_(require("momentum", momentum, 0, 1)) {}

void Momentum::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr,
                      double weight_decay) {
  for_each_element<1>(w, g, moments, weight_decay, [=, this]<class T>(T) {
    return [rate = static_cast<T>(lr), momentum = static_cast<T>(momentum_)](T& w_i, T g_i, T& v) {
      v = momentum * v - rate * g_i;
      w_i += v;
    };
  });
}

AdaGrad::AdaGrad(const ParameterGroups& parameters, double lr)
    : Optimizer("adagrad", parameters, lr, {"h"}) {}

void AdaGrad::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr,
                     double weight_decay) {
  for_each_element<1>(w, g, moments, weight_decay, [=]<class T>(T) {
    return [rate = static_cast<T>(lr), small = static_cast<T>(kSmall)](T& w_i, T g_i, T& h) {
      h += g_i * g_i;
      w_i -= rate * g_i / (std::sqrt(h) + small);
    };
  });
}

Adam::Adam(const ParameterGroups& parameters, double lr, double beta1, double beta2)
    : Optimizer("adam", parameters, lr, {"m", "v"}),
      beta1_(require("beta1", beta1, 0, 1)),
      beta2_(require("beta2", beta2, 0, 1)) {}

void Adam::begin_step(std::int64_t step) {
  const auto t = static_cast<double>(step);
  correction_ = std::sqrt(1 - std::pow(beta2_, t)) / (1 - std::pow(beta1_, t));
}

void Adam::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, double lr, double weight_decay) {
  for_each_element<2>(w, g, moments, weight_decay, [=, this]<class T>(T) {
    return
        [rate = static_cast<T>(lr * correction_), small = static_cast<T>(kSmall),
         rest1 = static_cast<T>(1 - beta1_), rest2 = static_cast<T>(1 - beta2_)](T& w_i, T g_i, T& m, T& v) {
          m += rest1 * (g_i - m);
          v += rest2 * (g_i * g_i - v);
          w_i -= rate * m / (std::sqrt(v) + small);
        };
  });
}

namespace {

template <class O>
std::unique_ptr<Optimizer> make(const ParameterGroups& parameters, double lr) {
  return std::make_unique<O>(parameters, lr);
}

constexpr struct {
  std::string_view name;
  std::unique_ptr<Optimizer> (*make)(const ParameterGroups&, double);
} kOptimizers[] = {
    {"sgd", make<SGD>}, {"momentum", make<Momentum>}, {"adagrad", make<AdaGrad>}, {"adam", make<Adam>}};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(std::string_view name, const ParameterGroups& parameters,
                                          double lr) {
  std::string known;
  for (const auto& o : kOptimizers) {
    if (o.name == name) return o.make(parameters, lr);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", o.name);
  }
  throw ArgumentError(fmt::format("optimizer: '{}' is not known; there are {}", name, known));
}

}  // namespace tapegrad::optim
