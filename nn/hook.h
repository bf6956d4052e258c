#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/module.h>

/// Ways to see what passes between the layers of any network, without a change to it.
namespace tapegrad::nn {

/// While it lives, f(path, module, output) is called for each module that returns an output on this thread:
/// inner modules before those around them. The path is that of messages, such as "affine1" for a layer of the
/// Sequential that was called, or "encoder.fc2"; empty for the module that was called first. Where a module
/// returns several tensors, f is called for each, and the path ends in the tensor's name (tensors.h), as in
/// "encoder.lstm.h". Of several hooks the last one made is called first. A hook ends on the thread that it
/// began on.
///
///     nn::Hook hook([](std::string_view path, const nn::ModuleBase&, const Tensor& y) {
///       fmt::print("{} {}\n", path, y.shape());
///     });
///     net(x);
class TAPEGRAD_API Hook {
 public:
  /// What a hook calls.
  using Function = Callback<void(std::string_view path, const ModuleBase& module, const Tensor& output)>;

  /// Calls f from now on. Throws ArgumentError for none.
  explicit Hook(Function f);
  /// Sees the modules of one tensor alone: f takes a const Module&.
  template <class F>
  requires(!std::is_convertible_v<F, Function> &&
           std::is_invocable_v<F&, std::string_view, const Module&, const Tensor&>) explicit Hook(F f)
      : Hook(
            Function([f = std::move(f)](std::string_view path, const ModuleBase& m, const Tensor& y) mutable {
              if (const auto* module = dynamic_cast<const Module*>(&m)) f(path, *module, y);
            })) {}
  ~Hook();
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;

  /// Whether there is a hook on this thread.
  static bool any() noexcept;
  /// Tells the hooks of this thread about one tensor of what a module has returned: `name` is the tensor's
  /// within the result, empty where it is the result.
  static void report(const ModuleBase& module, std::string_view name, const Tensor& output);

 private:
  Function f_;
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
  /// What a module has returned.
  struct Output {
    std::string path;  ///< of the module, as in Hook
    Tensor output;     ///< with its history
  };

  LayerOutputs();
  /// The outputs in the order in which they were computed, and how many there are.
  auto begin() const noexcept { return outputs_.begin(); }
  auto end() const noexcept { return outputs_.end(); }
  std::size_t size() const noexcept { return outputs_.size(); }
  /// In the order in which they were computed. Throws ArgumentError where there are not so many.
  const Output& operator[](std::size_t index) const;
  /// The last output with this path. Throws ArgumentError where there is none.
  const Tensor& operator[](std::string_view path) const;
  /// Forgets all.
  void clear() noexcept { outputs_.clear(); }

  /// The gradients of y for each output, as Tape::grad gives them; an undefined tensor for an output that the
  /// tape does not track. The tape stays unspent. Throws as Tape::grad.
  std::vector<Tensor> gradients(Tape& tape, const Tensor& y) const;

 private:
  std::vector<Output> outputs_;
  Hook hook_;
};

}  // namespace tapegrad::nn
