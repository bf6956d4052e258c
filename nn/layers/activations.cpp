#include <algorithm>
#include <iterator>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>

#include <fmt/format.h>

namespace tapegrad::nn {

template class Activation<relu>;
template class Activation<sigmoid>;
template class Activation<tanh>;
template class Activation<softplus>;
template class Activation<gelu>;
template class Activation<silu>;
template class Activation<identity>;

Tensor LeakyRelu::forward(const Tensor& x) { return leaky_relu(x, slope_); }
std::unique_ptr<ModuleBase> LeakyRelu::new_like() const { return std::make_unique<LeakyRelu>(slope_); }

Tensor Elu::forward(const Tensor& x) { return elu(x, alpha_); }
std::unique_ptr<ModuleBase> Elu::new_like() const { return std::make_unique<Elu>(alpha_); }

namespace {

template <class M>
std::unique_ptr<Module> make() {
  return std::make_unique<M>();
}

struct Row {
  std::string_view name;
  std::unique_ptr<Module> (*make)();
  bool rectifies;
};
constexpr Row kActivations[] = {{"relu", make<Relu>, true},         {"leaky-relu", make<LeakyRelu>, true},
                                {"elu", make<Elu>, true},           {"gelu", make<Gelu>, true},
                                {"silu", make<Silu>, true},         {"softplus", make<Softplus>, true},
                                {"sigmoid", make<Sigmoid>, false},  {"tanh", make<Tanh>, false},
                                {"identity", make<Identity>, false}};

const Row& find(std::string_view name) {
  const auto found = std::ranges::find(kActivations, name, &Row::name);
  if (found != std::end(kActivations)) return *found;
  throw ArgumentError(
      fmt::format("activation: '{}' is not known; there are {}", name, fmt::join(activation_names(), ", ")));
}

}  // namespace

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const Row& a : kActivations) names.emplace_back(a.name);
  return names;
}

std::unique_ptr<Module> make_activation(std::string_view name) { return find(name).make(); }

Init init_for(std::string_view activation) {
  return find(activation).rectifies ? Init::he() : Init::xavier();
}

}  // namespace tapegrad::nn
