#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/lambda.h>

namespace tapegrad::nn {

class Conv2d;
class MaxPool2d;

/// A layer with the name it is to have in a Sequential: named("fc1", Affine(784, 50, rng)).
template <class L>
struct Named {
  std::string name;  ///< not empty, without dots
  L layer;           ///< what append takes
};
/// A layer, which is moved, with this name.
template <class L>
requires(!std::is_lvalue_reference_v<L>) Named<L> named(std::string name, L&& layer) {
  return {std::move(name), std::move(layer)};
}

/// Layers one after the other, each applied to the result of the one before; none at all is the identity.
///
///     Generator rng(0);
///     nn::Sequential net{nn::Affine(784, 50, rng), nn::Relu(), nn::Affine(50, 10, rng)};
///
/// A layer is a module, moved in, also another Sequential; a unique_ptr to one; or a function of a tensor,
/// such as a lambda. They are called "0", "1", ... by their position, unless named. Braces, as above, make
/// C++ evaluate the layers in this order, so that each gets the same random numbers with any compiler; with
/// parentheses the order is the compiler's.
///
/// Unless a hook (hook.h) is to see the output of each layer, some are computed together, to the same bits: a Conv2d
/// and a Relu or a MaxPool2d behind it (conv2d_relu, conv2d_max_pool), and a Relu behind the MaxPool2d that follows it,
/// on fewer numbers. The gradients of weights may differ in rounding.
class TAPEGRAD_API Sequential final : public Module {
 public:
  Sequential() = default;
  /// The layers in this order, as by append.
  template <class... L>
  requires(sizeof...(L) > 0 && !(sizeof...(L) == 1 && (std::is_same_v<std::remove_cvref_t<L>, Sequential> &&
                                                       ...))) explicit Sequential(L&&... layers) {
    (append(std::forward<L>(layers)), ...);
  }

  /// Adds a layer at the end. Throws ArgumentError for a name that is empty, has a dot, or is taken, and for
  /// a null pointer.
  template <class L>
  Sequential& append(L&& layer) {
    return append(std::to_string(size()), std::forward<L>(layer));
  }
  template <class L>
  Sequential& append(Named<L> named) {
    return append(std::move(named.name), std::move(named.layer));
  }
  template <class L>
  Sequential& append(std::string name, L&& layer) {
    using M = std::remove_cvref_t<L>;
    static_assert(!std::is_lvalue_reference_v<L> || !std::is_base_of_v<ModuleBase, M>,
                  "a module is moved into a Sequential: append(std::move(layer))");
    static_assert(
        !std::is_base_of_v<ModuleBase, M> || std::is_base_of_v<Module, M>,
        "a Sequential holds modules of one tensor, Layer<Tensor(const Tensor&)>; call others from a "
        "module of your own");
    if constexpr (std::is_convertible_v<L&&, std::unique_ptr<Module>>)
      add(std::move(name), std::forward<L>(layer));
    else if constexpr (std::is_base_of_v<Module, M>)
      add(std::move(name), std::make_unique<M>(std::move(layer)));
    else
      add(std::move(name), std::make_unique<Lambda<std::decay_t<L>>>(std::forward<L>(layer)));
    return *this;
  }

  /// Number of layers.
  std::size_t size() const noexcept { return layers_.size(); }
  /// A layer by position or name. Throws ArgumentError where there is none.
  Module& operator[](std::size_t index) const;
  Module& operator[](std::string_view name) const;
  /// The same as its own class: net.get<Affine>(0).weight(). Throws ArgumentError where it is of another.
  template <class M, class Key>
  M& get(const Key& key) const {
    Module& layer = (*this)[key];
    if (auto* typed = dynamic_cast<M*>(&layer)) return *typed;
    throw_other_layer(layer, typeid(M));
  }

  void visit(Visitor& v) override;
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  struct Entry {
    std::string name;
    std::unique_ptr<Module> module;
    const Conv2d* conv;     ///< the module, where it is one
    const MaxPool2d* pool;  ///< likewise, without padding: a window in the padding has no largest element
    bool is_relu;
  };
  /// Replaces y by what layer i makes of it, or that and those behind it that are computed together; where to go on.
  std::size_t one(std::size_t i, Tensor& y) const;
  std::size_t several(std::size_t i, Tensor& y) const;
  Tensor conv_and_pool(std::size_t conv, std::size_t pool, const Tensor& x) const;
  [[noreturn]] void throw_other_layer(const Module& layer, const std::type_info& asked) const;
  void add(std::string name, std::unique_ptr<Module> module);

  std::vector<Entry> layers_;
};

}  // namespace tapegrad::nn
