#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/state.h>
#include <tapegrad/nn/visitor.h>

namespace tapegrad::nn {

/// A part of a network, or all of it: parameters, buffers and further modules, with a function of one tensor.
/// One of your own:
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
///
/// All that the library knows of it comes from visit, when it is needed: nothing is registered, so a module
/// may be moved at any time. It is copied by clone() only, never by accident.
///
/// Threads may evaluate one module at once; training it changes buffers and generators, which is for one
/// thread.
class TAPEGRAD_API Module {
 public:
  virtual ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// Names each Parameter, Buffer, Generator and Module that is a member, always the same ones in the same
  /// order, and does nothing else: it is called often, also by several threads at once.
  virtual void visit(Visitor& v);

  /// The function itself; call the module to run it. Throws Error unless overridden.
  virtual Tensor forward(const Tensor& x);
  /// forward(x) inside scope(), seen by the hooks there are.
  Tensor operator()(const Tensor& x);
  /// A scope in which messages speak of this module: `affine 'net.fc2'`. The name is the one under which the
  /// module whose scope is open around this one visits it; a module that is called by itself has none. For
  /// functions other than forward, which open it themselves: `const NameScope inside = scope();`
  NameScope scope() const { return NameScope({}, this, &find_name); }

  /// Trainable tensors with their path, as in "fc1.weight"; a shared parameter once, under its first name.
  /// Throws ArgumentError where visit gives one name twice; so do all functions below that walk the module.
  std::vector<std::pair<std::string, Parameter>> parameters() const;
  std::vector<std::pair<std::string, Tensor>> buffers() const;
  /// How many numbers the parameters hold, frozen or not.
  std::int64_t parameter_count() const;

  /// Training mode, or evaluation: what BatchNorm and Dropout do. A new module is in training mode.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const noexcept { return training_; }
  /// Makes all parameters constants, or trainable again.
  void freeze(bool frozen = true);

  /// Copies of the parameters and buffers with their paths, in the order of visiting; a shared parameter
  /// once.
  State state() const;
  /// Copies those values in. Throws ArgumentError for names that are missing or unexpected, listing them,
  /// ShapeError or DtypeError for a tensor that does not fit; the module is then unchanged.
  void load_state(const State& state);

  /// An independent module with the same values, modes, buffers and generators. Parameters that are shared
  /// within this module are shared within the clone. Throws Error where a module does not override new_like().
  std::unique_ptr<Module> clone() const;
  /// A module of the same class and structure, with any values, for clone() to fill in:
  ///
  ///     std::unique_ptr<Module> new_like() const override { return std::make_unique<MyNet>(arguments); }
  ///
  /// Settings that visit does not name are for new_like() to pass on. Throws Error unless overridden.
  virtual std::unique_ptr<Module> new_like() const;

 protected:
  Module() noexcept = default;
  Module(Module&&) noexcept = default;
  Module& operator=(Module&&) noexcept = default;
  /// module(x) for a module that knows under which name it calls another, which need not be searched then.
  static Tensor call(Module& module, std::string_view name, const Tensor& x);

 private:
  static void find_name(const void* module, const void* outer, detail::PoolString& name);

  bool training_ = true;
};

/// An independent copy of a module as its own class; see Module::clone.
template <class M>
std::unique_ptr<M> clone(const M& module) {
  // clone() has checked that the copy is of the module's dynamic class.
  return std::unique_ptr<M>(static_cast<M*>(module.clone().release()));
}

}  // namespace tapegrad::nn
