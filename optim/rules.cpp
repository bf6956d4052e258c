#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/simd_for.h>
#include <tapegrad/optim/rules.h>

#include <fmt/format.h>

namespace tapegrad::optim {

using tapegrad::detail::dispatch_isa;
using tapegrad::detail::parallel_elements;
using tapegrad::detail::simd_for;

namespace {

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
      const std::array<T*, Moments> moment_values{moments[I].template mutable_values<T>().data()...};
      parallel_elements(g.size(), [&](std::int64_t begin, std::int64_t end) {
        dispatch_isa([&]() {
          sweep(end - begin, values + begin, gradient + begin, decay, rule, moment_values[I] + begin...);
        });
      });
    }
    (std::make_index_sequence<Moments>{});
  });
}

/// A gradient as the rules take it that divide by its size: no larger than what they can square and add up. Their
/// steps are the same for a gradient and a multiple of it; what is lost is how long a larger one is remembered.
template <class T>
T squarable(T g) {
  constexpr T kLargest = sizeof(T) == sizeof(float) ? T{0x1p56} : static_cast<T>(0x1p504);
  const T zero = g - g;  // or NaN, so that an infinite one shows
  return g > kLargest ? zero + kLargest : g < -kLargest ? zero - kLargest : g;
}

}  // namespace

// ---- SGD ----

SGD::SGD(const ParameterGroups& parameters, double lr, const SGDOptions& options)
    : Optimizer(kName, parameters, lr,
                options.momentum > 0 ? std::vector<std::string_view>{"v"} : std::vector<std::string_view>{}),
      options_(options) {
  require_momentum(options.momentum);
  require_dampening(options.dampening);
  if (options.nesterov && !(options.momentum > 0 && options.dampening == 0))
    throw ArgumentError(
        fmt::format("sgd: nesterov with the momentum {} and the dampening {}; it needs a momentum "
                    "above 0, and no dampening",
                    options.momentum, options.dampening));
}

void SGD::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  if (moments.empty())
    return for_each_element<0>(w, g, moments, rates, [&]<class T>(T) {
      return [rate = static_cast<T>(rates.lr)](T& w_i, T g_i) { w_i -= rate * g_i; };
    });
  for_each_element<1>(w, g, moments, rates, [&, this]<class T>(T) {
    // The step is lr (of_g g + of_v v): one formula for both kinds of momentum.
    return [rate = static_cast<T>(rates.lr), momentum = static_cast<T>(options_.momentum),
            share = static_cast<T>(rates.step == 1 ? 1 : 1 - options_.dampening),
            of_g = static_cast<T>(options_.nesterov ? 1 : 0),
            of_v = static_cast<T>(options_.nesterov ? options_.momentum : 1)](T& w_i, T g_i, T& v) {
      v = momentum * v + share * g_i;
      w_i -= rate * (of_g * g_i + of_v * v);
    };
  });
}

// ---- Momentum, Nesterov ----

Momentum::Momentum(const ParameterGroups& parameters, double lr, const MomentumOptions& options)
    : Optimizer(kName, parameters, lr, {"v"}), options_(options) {
  require_momentum(options.momentum);
  require_dampening(options.dampening);
}

void Momentum::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<1>(w, g, moments, rates, [&, this]<class T>(T) {
    return [rate = static_cast<T>(rates.lr * (1 - options_.dampening)),
            momentum = static_cast<T>(options_.momentum)](T& w_i, T g_i, T& v) {
      v = momentum * v - rate * g_i;
      w_i += v;
    };
  });
}

Nesterov::Nesterov(const ParameterGroups& parameters, double lr, const NesterovOptions& options)
    : Optimizer(kName, parameters, lr, {"v"}), momentum_(require_momentum(options.momentum)) {}

void Nesterov::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<1>(w, g, moments, rates, [&, this]<class T>(T) {
    return [rate = static_cast<T>(rates.lr), momentum = static_cast<T>(momentum_)](T& w_i, T g_i, T& v) {
      v = momentum * v - rate * g_i;
      w_i += momentum * v - rate * g_i;
    };
  });
}

// ---- AdaGrad ----

AdaGrad::AdaGrad(const ParameterGroups& parameters, double lr, const AdaGradOptions& options)
    : Optimizer(kName, parameters, lr, {"h"}), eps_(require_eps(options.eps)) {}

void AdaGrad::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  for_each_element<1>(w, g, moments, rates, [&, this]<class T>(T) {
    return [rate = static_cast<T>(rates.lr), eps = static_cast<T>(eps_)](T& w_i, T gradient, T& h) {
      const T g_i = squarable(gradient);
      h += g_i * g_i;
      w_i -= rate * g_i / (std::sqrt(h) + eps);
    };
  });
}

// ---- RMSProp ----

namespace {

std::vector<std::string_view> moments_of(const RMSPropOptions& options) {
  std::vector<std::string_view> moments{"h"};
  if (options.centered) moments.push_back("mean");
  if (options.momentum > 0) moments.push_back("v");
  return moments;
}

}  // namespace

RMSProp::RMSProp(const ParameterGroups& parameters, double lr, const RMSPropOptions& options)
    : Optimizer(kName, parameters, lr, moments_of(options)), options_(options) {
  require("decay", options.decay, 0, 1);
  require_momentum(options.momentum);
  require_eps(options.eps);
}

void RMSProp::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  const auto make = [&, this]<class T, bool kCentered, bool kMomentum>() {
    return [rate = static_cast<T>(rates.lr), eps = static_cast<T>(options_.eps),
            one_minus_decay = static_cast<T>(1 - options_.decay),
            momentum = static_cast<T>(options_.momentum)](T& w_i, T gradient, T& h, auto&... more) {
      const T g_i = squarable(gradient);
      h += one_minus_decay * (g_i * g_i - h);
      T square = h;
      const std::array<T*, sizeof...(more)> others{&more...};  // mean and v, those there are
      if constexpr (kCentered) {
        T& mean = *others[0];
        mean += one_minus_decay * (g_i - mean);
        square = h - mean * mean;
        square = square > 0 ? square : T{0};  // a variance is not below 0 but by rounding
      }
      if constexpr (kMomentum) {
        T& v = *others[kCentered ? 1 : 0];
        v = momentum * v + g_i / (std::sqrt(square) + eps);
        w_i -= rate * v;
      } else {
        static_cast<void>(momentum);
        w_i -= rate * g_i / (std::sqrt(square) + eps);
      }
    };
  };
  const bool momentum = options_.momentum > 0;
  if (options_.centered && momentum)
    for_each_element<3>(w, g, moments, rates,
                        [&]<class T>(T) { return make.template operator()<T, true, true>(); });
  else if (options_.centered)
    for_each_element<2>(w, g, moments, rates,
                        [&]<class T>(T) { return make.template operator()<T, true, false>(); });
  else if (momentum)
    for_each_element<2>(w, g, moments, rates,
                        [&]<class T>(T) { return make.template operator()<T, false, true>(); });
  else
    for_each_element<1>(w, g, moments, rates,
                        [&]<class T>(T) { return make.template operator()<T, false, false>(); });
}

// ---- Adam, AdamW ----

Adam::Adam(const ParameterGroups& parameters, double lr, const AdamOptions& options)
    : Adam(kName, parameters, lr, options) {}

Adam::Adam(std::string_view name, const ParameterGroups& parameters, double lr, const AdamOptions& options)
    : Optimizer(name, parameters, lr, {"m", "v"}), options_(options) {
  require("beta1", options.betas[0], 0, 1);
  require("beta2", options.betas[1], 0, 1);
  require_eps(options.eps);
}

void Adam::update(Parameter& w, const Tensor& g, std::span<Tensor> moments, const Rates& rates) {
  const auto t = static_cast<double>(rates.step);
  const double root = std::sqrt(1 - std::pow(options_.betas[1], t));
  const double lr_t = rates.lr * root / (1 - std::pow(options_.betas[0], t));
  const double eps_t = options_.form == AdamForm::epsilon ? options_.eps * root : options_.eps;
  for_each_element<2>(w, g, moments, rates, [&, this]<class T>(T) {
    return [rate = static_cast<T>(lr_t), eps = static_cast<T>(eps_t),
            one_minus_beta1 = static_cast<T>(1 - options_.betas[0]),
            one_minus_beta2 = static_cast<T>(1 - options_.betas[1])](T& w_i, T gradient, T& m, T& v) {
      const T g_i = squarable(gradient);
      m += one_minus_beta1 * (g_i - m);
      v += one_minus_beta2 * (g_i * g_i - v);
      w_i -= rate * m / (std::sqrt(v) + eps);
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

AdamW::AdamW(const ParameterGroups& parameters, double lr, const AdamWOptions& options)
    : Adam(kName, decoupled(parameters, options.weight_decay), lr,
           {.betas = options.betas, .eps = options.eps, .form = options.form}) {}

// ---- settings, and the list of rules ----

using RuleSettings = std::vector<std::pair<std::string_view, double>>;

RuleSettings SGD::rule_settings() const {
  return {{"momentum", options_.momentum},
          {"dampening", options_.dampening},
          {"nesterov", options_.nesterov ? 1 : 0}};
}
RuleSettings Momentum::rule_settings() const {
  return {{"momentum", options_.momentum}, {"dampening", options_.dampening}};
}
RuleSettings Nesterov::rule_settings() const { return {{"momentum", momentum_}}; }
RuleSettings AdaGrad::rule_settings() const { return {{"eps", eps_}}; }
RuleSettings RMSProp::rule_settings() const {
  return {{"decay", options_.decay},
          {"eps", options_.eps},
          {"momentum", options_.momentum},
          {"centered", options_.centered ? 1 : 0}};
}
RuleSettings Adam::rule_settings() const {
  return {{"beta1", options_.betas[0]},
          {"beta2", options_.betas[1]},
          {"eps", options_.eps},
          {"eps_after_bias_correction", options_.form == AdamForm::epsilon ? 1 : 0}};
}

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Optimizer> (*make)(const ParameterGroups&, double lr);
};

template <class... O>
constexpr std::array<Entry, sizeof...(O)> entries() {
  return {Entry{O::kName, [](const ParameterGroups& parameters, double lr) -> std::unique_ptr<Optimizer> {
                  return std::make_unique<O>(parameters, lr);
                }}...};
}

/// All rules. A new one is a class above and its name here.
constexpr auto kOptimizers = entries<SGD, Momentum, Nesterov, AdaGrad, RMSProp, Adam, AdamW>();

}  // namespace

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const Entry& o : kOptimizers) names.emplace_back(o.name);
  return names;
}

std::unique_ptr<Optimizer> make_optimizer(std::string_view name, const ParameterGroups& parameters,
                                          double lr) {
  for (const Entry& o : kOptimizers)
    if (o.name == name) return o.make(parameters, lr);
  throw ArgumentError(
      fmt::format("optimizer: '{}' is not known; there are {}", name, fmt::join(optimizer_names(), ", ")));
}

}  // namespace tapegrad::optim
