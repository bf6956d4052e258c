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
  if (!layers_.empty()) {
    Entry& before = layers_.back();
    if (dynamic_cast<const Relu*>(module.get()))
      before.before_relu = dynamic_cast<const Conv2d*>(before.module.get());
    // The larger of two numbers stays the larger one behind a ReLU. A window in the padding has none.
    if (const auto* pool = dynamic_cast<const MaxPool2d*>(module.get()))
      before.after_pooling = dynamic_cast<const Relu*>(before.module.get()) && pool->options().padding == 0;
  }
  layers_.push_back({std::move(name), std::move(module)});
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
  for (auto l = layers_.begin(); l != layers_.end(); ++l) {
    const auto next = l + 1;
    if (!hooked && l->after_pooling) {
      y = call(*next->module, next->name, y);
      y = call(*l->module, l->name, y);
      l = next;
    } else if (!hooked && l->before_relu && !next->after_pooling) {
      const NameScope inside = scope_of(*l->module, l->name);
      y = l->before_relu->forward_with_relu(y);
      l = next;
    } else {
      y = call(*l->module, l->name, y);
    }
  }
  return y;
}

std::unique_ptr<ModuleBase> Sequential::new_like() const {
  auto copy = std::make_unique<Sequential>();
  for (const Entry& l : layers_) copy->add(l.name, nn::new_like(*l.module));
  return copy;
}

}  // namespace tapegrad::nn
