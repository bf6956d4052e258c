#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/conv.h>
#include <tapegrad/nn/layers/pool.h>
#include <tapegrad/nn/layers/sequential.h>

#include <fmt/format.h>

namespace tapegrad::nn {

void Sequential::add(std::string name, std::unique_ptr<Module> module) {
  if (!module) throw ArgumentError(fmt::format("sequential: the layer '{}' is a null pointer", name));
  if (name.empty() || name.find('.') != std::string::npos)
    throw ArgumentError(
        fmt::format("sequential: '{}' cannot name a layer; a name is not empty and has no dot", name));
  if (std::ranges::find(layers_, name, &Entry::name) != layers_.end())
    throw ArgumentError(fmt::format("sequential: there is a layer '{}' already", name));
  const auto* const conv = dynamic_cast<const Conv2d*>(module.get());
  const auto* pool = dynamic_cast<const MaxPool2d*>(module.get());
  if (pool && pool->options().padding != 0) pool = nullptr;
  const bool is_relu = dynamic_cast<const Relu*>(module.get()) != nullptr;
  layers_.push_back({std::move(name), std::move(module), conv, pool, is_relu});
}

Module& Sequential::operator[](std::size_t index) const {
  if (index >= layers_.size())
    throw ArgumentError(fmt::format("sequential: no layer {}; there are {}", index, layers_.size()));
  return *layers_[index].module;
}

Module& Sequential::operator[](std::string_view name) const {
  const auto layer = std::ranges::find(layers_, name, &Entry::name);
  if (layer == layers_.end()) {
    std::string names;
    for (const Entry& l : layers_) names += fmt::format("{}'{}'", names.empty() ? "" : ", ", l.name);
    throw ArgumentError(
        fmt::format("sequential: no layer '{}'; there are {}", name, names.empty() ? "none" : names));
  }
  return *layer->module;
}

void Sequential::throw_other_layer(const Module& layer, const std::type_info& asked) const {
  const auto entry = std::ranges::find(layers_, &layer, [](const Entry& l) { return l.module.get(); });
  throw ArgumentError(fmt::format("sequential: the layer '{}' is a {}, not a {}; ask for it by its own class",
                                  entry->name, tapegrad::detail::class_name(typeid(layer)),
                                  tapegrad::detail::class_name(asked)));
}

void Sequential::visit(Visitor& v) {
  for (const Entry& l : layers_) v(l.name, *l.module);
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  const bool hooked = tapegrad::detail::hooked();
  for (std::size_t i = 0; i < layers_.size();) i = hooked ? one(i, y) : several(i, y);
  return y;
}

std::size_t Sequential::one(std::size_t i, Tensor& y) const {
  y = call(*layers_[i].module, layers_[i].name, y);
  return i + 1;
}

std::size_t Sequential::several(std::size_t i, Tensor& y) const {
  const auto is_relu = [&](std::size_t at) { return at < layers_.size() && layers_[at].is_relu; };
  const auto is_pool = [&](std::size_t at) { return at < layers_.size() && layers_[at].pool; };
  const Conv2d* const conv = layers_[i].conv;
  const std::size_t relu = conv ? i + 1 : i;
  const std::size_t pool = is_relu(relu) ? relu + 1 : relu;
  if (conv && is_pool(pool)) {
    y = conv_and_pool(i, pool, y);
    // The larger of two numbers stays the larger one behind a ReLU.
    if (is_relu(relu)) one(relu, y);
    return pool + 1;
  }
  if (conv && is_relu(relu)) {
    const NameScope inside = scope_of(*layers_[i].module, layers_[i].name);
    y = conv->forward_with_relu(y);
    return relu + 1;
  }
  if (!conv && is_relu(relu) && is_pool(pool)) {
    one(pool, y);
    one(relu, y);
    return pool + 1;
  }
  return one(i, y);
}

Tensor Sequential::conv_and_pool(std::size_t conv, std::size_t pool, const Tensor& x) const {
  try {
    const NameScope inside = scope_of(*layers_[conv].module, layers_[conv].name);
    return layers_[conv].conv->forward_with_max_pool(x, layers_[pool].pool->options());
  } catch (const Error&) {
    // Of the two the one that is to blame says so, by its own name.
    Tensor y = x;
    one(conv, y);
    one(pool, y);
    throw;
  }
}

std::unique_ptr<ModuleBase> Sequential::new_like() const {
  auto copy = std::make_unique<Sequential>();
  for (const Entry& l : layers_) copy->add(l.name, nn::new_like(*l.module));
  return copy;
}

}  // namespace tapegrad::nn
