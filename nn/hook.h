#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/module.h>

/// Ways to see what passes between the layers of any network, without a change to it.
namespace tapegrad::nn {

/// While it lives, f(path, module, output) is called for each module that returns an output on this thread:
/// inner modules before those around them. The path is that of messages, such as "affine1" for a layer of the
/// Sequential that was called, or "encoder.fc2"; empty for the module that was called first. Of several hooks
/// the last one made is called first. A hook ends on the thread that it began on.
///
///     nn::Hook hook([](std::string_view path, const nn::Module&, const Tensor& y) {
///       fmt::print("{} {}\n", path, y.shape());
///     });
///     net(x);
class TAPEGRAD_API Hook {
 public:
  explicit Hook(Callback<void(std::string_view path, const Module& module, const Tensor& output)> f);
  ~Hook();
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;

  /// Tells the hooks of this thread what a module has returned.
  static void report(const Module& module, const Tensor& output);

 private:
  Callback<void(std::string_view, const Module&, const Tensor&)> f_;
  Hook* outer_;
};

/// Keeps the outputs of all modules that are called on this thread while it lives, and finds their gradients.
///
///     nn::LayerOutputs layers;
///     Tape tape;
///     const Tensor y = loss(net(x), t);
///     for (const auto& [path, output] : layers) ...
///     const std::vector<Tensor> gradients = layers.gradients(tape, y);   // one for each, before backward
class TAPEGRAD_API LayerOutputs {
 public:
  struct Layer {
    std::string path;
    Tensor output;
  };

  LayerOutputs();
  auto begin() const noexcept { return layers_.begin(); }
  auto end() const noexcept { return layers_.end(); }
  std::size_t size() const noexcept { return layers_.size(); }
  /// In the order in which they were computed. Throws ArgumentError where there are not so many.
  const Layer& operator[](std::size_t index) const;
  /// The output of the module called last with this path. Throws ArgumentError where there is none.
  const Tensor& operator[](std::string_view path) const;
  /// Forgets all.
  void clear() noexcept { layers_.clear(); }

  /// The gradients of y for each output, as Tape::grad gives them; an undefined tensor for an output that the
  /// tape does not track. The tape stays unspent. Throws as Tape::grad.
  std::vector<Tensor> gradients(Tape& tape, const Tensor& y) const;

 private:
  std::vector<Layer> layers_;
  Hook hook_;
};

}  // namespace tapegrad::nn
