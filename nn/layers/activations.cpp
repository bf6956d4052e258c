#include <algorithm>
#include <iterator>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/layers.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

template <class M>
std::unique_ptr<Module> make() {
  return std::make_unique<M>();
}

struct Activation {
  std::string_view name;
  std::unique_ptr<Module> (*make)();
  bool rectifies;
};
constexpr Activation kActivations[] = {
    {"relu", make<Relu>, true},         {"leaky-relu", make<LeakyRelu>, true},
    {"elu", make<Elu>, true},           {"gelu", make<Gelu>, true},
    {"silu", make<Silu>, true},         {"softplus", make<Softplus>, true},
    {"sigmoid", make<Sigmoid>, false},  {"tanh", make<Tanh>, false},
    {"identity", make<Identity>, false}};

const Activation& find(std::string_view name) {
  const auto found = std::ranges::find(kActivations, name, &Activation::name);
  if (found != std::end(kActivations)) return *found;
  throw ArgumentError(
      fmt::format("activation: '{}' is not known; there are {}", name, fmt::join(activation_names(), ", ")));
}

}  // namespace

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const Activation& a : kActivations) names.emplace_back(a.name);
  return names;
}

std::unique_ptr<Module> make_activation(std::string_view name) { return find(name).make(); }

Init init_for(std::string_view activation) {
  return find(activation).rectifies ? Init::he() : Init::xavier();
}

}  // namespace tapegrad::nn
