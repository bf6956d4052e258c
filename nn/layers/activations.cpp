#include <algorithm>
#include <iterator>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/trainable.h>

#include <fmt/format.h>

namespace tapegrad::nn {

#define TAPEGRAD_ROW(function, ...) template class Activation<function>;
TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
TAPEGRAD_ROW(identity)
#undef TAPEGRAD_ROW

namespace {

template <class M>
std::unique_ptr<Module> make() {
  return std::make_unique<M>();
}

struct Row {
  std::string_view name;
  std::unique_ptr<Module> (*make)();
  Init (*init)();
};

Init he() { return Init::he(); }
Init xavier() { return Init::xavier(); }

#define TAPEGRAD_ROW(function, Op, name, initialiser, ...) {name, make<Op>, initialiser},
constexpr Row kActivations[] = {TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW) TAPEGRAD_NUMBER_ACTIVATIONS(
    TAPEGRAD_ROW) TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW){"identity", make<Identity>, xavier}};
#undef TAPEGRAD_ROW

const Row& find(std::string_view name) {
  const auto found = std::ranges::find(kActivations, name, &Row::name);
  if (found != std::end(kActivations)) return *found;
  throw ArgumentError(
      fmt::format("activation: '{}' is not known; there are {}", name, fmt::join(activation_names(), ", ")));
}

}  // namespace

Parameter learnt_parameter(const char* name, std::int64_t size, double initial, Dtype dtype) {
  if (size < 1)
    throw ArgumentError(
        fmt::format("{}: {} parameters; there must be one for all of the input, or one for each entry of its "
                    "last axis",
                    name, size));
  require_trainable(name, dtype);
  return tapegrad::detail::named(name, [&] { return Parameter(Tensor::full({size}, initial, dtype)); });
}

std::vector<std::string> activation_names() {
  std::vector<std::string> names;
  for (const Row& a : kActivations) names.emplace_back(a.name);
  return names;
}

std::unique_ptr<Module> make_activation(std::string_view name) { return find(name).make(); }

Init init_for(std::string_view activation) { return find(activation).init(); }

}  // namespace tapegrad::nn
