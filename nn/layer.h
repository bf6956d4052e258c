#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/tensors.h>

namespace tapegrad::detail {
/// Whether a hook (hook.h) waits for outputs on this thread.
TAPEGRAD_API bool hooked() noexcept;
/// Tells the hooks of this thread about one tensor of what a module has returned. The name is the tensor's
/// within the result; empty where it is the result.
TAPEGRAD_API void report_output(const nn::ModuleBase& module, std::string_view name, const Tensor& output);
}  // namespace tapegrad::detail

namespace tapegrad::nn {

/// A module with a function: of any arguments, with any result that lists its tensors (tensors.h).
///
///     struct LstmState {
///       Tensor h, c;
///       void visit_tensors(nn::TensorVisitor& v) { v("h", h), v("c", c); }
///     };
///     class LstmCell : public nn::Layer<LstmState(const Tensor& x, const LstmState& before)> {
///       void visit(nn::Visitor& v) override { v("gates", gates_); }
///       LstmState forward(const Tensor& x, const LstmState& before) override { ... }
///     };
///
///     LstmState state = cell(x, {h, c});
template <class R, class... A>
class TAPEGRAD_API Layer<R(A...)> : public ModuleBase {
  static_assert(
      lists_tensors<R>,
      "a layer's result is a Tensor, a number, a vector, array, pair, tuple or optional of results, or "
      "a struct with a member function visit_tensors(nn::TensorVisitor&)");

 public:
  /// forward(a...) inside scope(), seen by the hooks there are.
  R operator()(A... a) { return run({}, std::forward<A>(a)...); }

  /// See ModuleBase::clone.
  std::unique_ptr<Layer> clone() const {
    return std::unique_ptr<Layer>(static_cast<Layer*>(ModuleBase::clone().release()));
  }

 protected:
  Layer() noexcept = default;
  Layer(Layer&&) noexcept = default;
  Layer& operator=(Layer&&) noexcept = default;

  /// The function itself; call the module to run it.
  virtual R forward(A... a) = 0;

 private:
  friend class ModuleBase;

  R run(std::string_view name, A... a) {
    const NameScope inside(name, static_cast<const ModuleBase*>(this), &kScope);
    R result = forward(std::forward<A>(a)...);
    if (detail::hooked())
      for_each_tensor(result, [this](std::string_view tensor, const Tensor& output) {
        detail::report_output(*this, tensor, output);
      });
    return result;
  }
};

/// A function of one tensor, as most layers and networks are. One of your own:
///
///     class TwoLayer : public nn::Module {
///      public:
///       TwoLayer(std::int64_t in, std::int64_t hidden, std::int64_t out, Generator& rng)
///           : fc1_(in, hidden, rng), fc2_(hidden, out, rng) {}
///       void visit(nn::Visitor& v) override { v("fc1", fc1_); v("fc2", fc2_); }
///       Tensor forward(const Tensor& x) override { return fc2_(relu(fc1_(x))); }
///
///      private:
///       nn::Affine fc1_, fc2_;
///     };
using Module = Layer<Tensor(const Tensor&)>;

extern template class TAPEGRAD_API Layer<Tensor(const Tensor&)>;

}  // namespace tapegrad::nn
