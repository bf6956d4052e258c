#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/optim/rules.h>

#include <fmt/format.h>

namespace tapegrad::optim {

using detail::dispatch_isa;
using detail::parallel_ranges;
using detail::simd_for;

namespace {

constexpr double kSmall = 1e-7;  // as in the book

constexpr std::int64_t kShare = 32 * 1024;  // elements worth waking a thread for

template <class T>
struct Decay {
  T coupled;    ///< times w is added to the gradient
  T decoupled;  ///< times w is taken from w
  bool none() const { return coupled == 0 && decoupled == 0; }
};

template <class T, class Rule, class... M>
void sweep(std::int64_t n, T* w, const T* g, Decay<T> decay, Rule rule, M*... moments) {
  if (decay.none())
    simd_for(n, [&](std::int64_t i) { rule(w[i], g[i], moments[i]...); });
  else
    simd_for(n, [&](std::int64_t i) {
      const T gradient = g[i] + decay.coupled * w[i];
      w[i] -= decay.decoupled * w[i];  // 1 - decoupled, rounded, would be off by much of a small decay
      rule(w[i], gradient, moments[i]...);
    });
}

/// One pass over a parameter: make_rule(T{}) gives the update of one element, rule(w, g, moment...), in
/// numbers of type T, the dtype of the parameter.
template <std::size_t Moments, class Rates, class MakeRule>
void for_each_element(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates,
                      const MakeRule& make_rule) {
  visit_floating(w.dtype(), [&]<class T> {
    const auto rule = make_rule(T{});
    const Decay<T> decay{static_cast<T>(rates.weight_decay), static_cast<T>(rates.shrink)};
    T* const values = w.mutable_values<T>().data();
    const T* const gradient = g.values<T>().data();
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      const std::array<T*, Moments> kept{moments[I].template mutable_values<T>().data()...};
      parallel_ranges(g.size(), kShare, [&](std::int64_t begin, std::int64_t end) {
        dispatch_isa(
            [&]() { sweep(end - begin, values + begin, gradient + begin, decay, rule, kept[I] + begin...); });
      });
    }
    (std::make_index_sequence<Moments>{});
  });
}

}  // namespace

SGD::SGD(const ParameterGroups& parameters, double lr) : Optimizer("sgd", parameters, lr) {}

void SGD::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<0>(w, g, moments, rates, [&]<class T>(T) {
    return [rate = static_cast<T>(rates.lr)](T& w_i, T g_i) { w_i -= rate * g_i; };
  });
}

Momentum::Momentum(const ParameterGroups& parameters, double lr, double momentum)
    : Optimizer("momentum", parameters, lr, {"v"}), momentum_(require("momentum", momentum, 0, 1)) {}

void Momentum::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<1>(w, g, moments, rates, [&, this]<class T>(T) {
    return [rate = static_cast<T>(rates.lr), momentum = static_cast<T>(momentum_)](T& w_i, T g_i, T& v) {
      v = momentum * v - rate * g_i;
      w_i += v;
    };
  });
}

Nesterov::Nesterov(const ParameterGroups& parameters, double lr, double momentum)
    : Optimizer("nesterov", parameters, lr, {"v"}), momentum_(require("momentum", momentum, 0, 1)) {}

void Nesterov::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<1>(w, g, moments, rates, [&, this]<class T>(T) {
    return [rate = static_cast<T>(rates.lr), momentum = static_cast<T>(momentum_)](T& w_i, T g_i, T& v) {
      v = momentum * v - rate * g_i;
      w_i += momentum * v - rate * g_i;
    };
  });
}

AdaGrad::AdaGrad(const ParameterGroups& parameters, double lr)
    : Optimizer("adagrad", parameters, lr, {"h"}) {}

void AdaGrad::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<1>(w, g, moments, rates, [&]<class T>(T) {
    return [rate = static_cast<T>(rates.lr), small = static_cast<T>(kSmall)](T& w_i, T g_i, T& h) {
      h += g_i * g_i;
      w_i -= rate * g_i / (std::sqrt(h) + small);
    };
  });
}

RMSProp::RMSProp(const ParameterGroups& parameters, double lr, double decay)
    : Optimizer("rmsprop", parameters, lr, {"h"}), decay_(require("decay", decay, 0, 1)) {}

void RMSProp::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<1>(w, g, moments, rates, [&, this]<class T>(T) {
    return [rate = static_cast<T>(rates.lr), small = static_cast<T>(kSmall),
            rest = static_cast<T>(1 - decay_)](T& w_i, T g_i, T& h) {
      h += rest * (g_i * g_i - h);
      w_i -= rate * g_i / (std::sqrt(h) + small);
    };
  });
}

Adam::Adam(const ParameterGroups& parameters, double lr, double beta1, double beta2)
    : Adam("adam", parameters, lr, beta1, beta2) {}

Adam::Adam(std::string_view name, const ParameterGroups& parameters, double lr, double beta1, double beta2)
    : Optimizer(name, parameters, lr, {"m", "v"}),
      beta1_(require("beta1", beta1, 0, 1)),
      beta2_(require("beta2", beta2, 0, 1)) {}

void Adam::begin_step(std::int64_t step) {
  const auto t = static_cast<double>(step);
  correction_ = std::sqrt(1 - std::pow(beta2_, t)) / (1 - std::pow(beta1_, t));
}

void Adam::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<2>(w, g, moments, rates, [&, this]<class T>(T) {
    return
        [rate = static_cast<T>(rates.lr * correction_), small = static_cast<T>(kSmall),
         rest1 = static_cast<T>(1 - beta1_), rest2 = static_cast<T>(1 - beta2_)](T& w_i, T g_i, T& m, T& v) {
          m += rest1 * (g_i - m);
          v += rest2 * (g_i * g_i - v);
          w_i -= rate * m / (std::sqrt(v) + small);
        };
  });
}

namespace {

/// Groups whose decay is decoupled, and this where they give none.
ParameterGroups decoupled(const ParameterGroups& groups, double weight_decay) {
  std::vector<Group> out(groups.begin(), groups.end());
  for (Group& g : out) {
    g.weight_decay = g.weight_decay.value_or(weight_decay);
    g.decoupled = true;
  }
  return out;
}

}  // namespace

AdamW::AdamW(const ParameterGroups& parameters, double lr, double weight_decay, double beta1, double beta2)
    : Adam("adamw", decoupled(parameters, weight_decay), lr, beta1, beta2) {}

namespace {

template <class O>
std::unique_ptr<Optimizer> make(const ParameterGroups& parameters, double lr) {
  return std::make_unique<O>(parameters, lr);
}

constexpr struct {
  std::string_view name;
  std::unique_ptr<Optimizer> (*make)(const ParameterGroups&, double);
} kOptimizers[] = {{"sgd", make<SGD>},         {"momentum", make<Momentum>}, {"nesterov", make<Nesterov>},
                   {"adagrad", make<AdaGrad>}, {"rmsprop", make<RMSProp>},   {"adam", make<Adam>},
                   {"adamw", make<AdamW>}};

}  // namespace

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const auto& o : kOptimizers) names.emplace_back(o.name);
  return names;
}

std::unique_ptr<Optimizer> make_optimizer(std::string_view name, const ParameterGroups& parameters,
                                          double lr) {
  for (const auto& o : kOptimizers)
    if (o.name == name) return o.make(parameters, lr);
  throw ArgumentError(
      fmt::format("optimizer: '{}' is not known; there are {}", name, fmt::join(optimizer_names(), ", ")));
}

}  // namespace tapegrad::optim
