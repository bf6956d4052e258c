#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/activations.h>
#include <tapegrad/nn/layers/conv.h>
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
  if (!layers_.empty() && dynamic_cast<const Relu*>(module.get()))
    layers_.back().before_relu = dynamic_cast<const Conv2d*>(layers_.back().module.get());
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
    if (l->before_relu && !hooked) {
      const NameScope inside = scope_of(*l->module, l->name);
      y = l->before_relu->forward_with_relu(y);
      ++l;
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
