#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/name_scope.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/state.h>
#include <tapegrad/nn/unlisted_members.h>
#include <tapegrad/nn/visitor.h>
#include <tapegrad/optim/parameters.h>

namespace tapegrad::nn {
class Communicator;
class ModuleBase;
}  // namespace tapegrad::nn

namespace tapegrad::detail {
/// The name of a class in C++, as "tapegrad::nn::Affine".
TAPEGRAD_API std::string class_name(const std::type_info& type);
[[noreturn]] TAPEGRAD_API void throw_other_class(const nn::ModuleBase& module, const nn::ModuleBase* made);
}  // namespace tapegrad::detail

namespace tapegrad::nn {

template <class Signature>
class Layer;
class EvaluationMode;

/// How load_state takes a state that is not exactly the module's own.
struct LoadOptions {
  bool strict = true;  ///< whether names and shapes must be the module's own
};

/// What load_state has left as it was, or left out, each in the order of the module or of the state.
struct LoadResult {
  std::vector<std::string> missing{};     ///< names of the module that the state lacks
  std::vector<std::string> unexpected{};  ///< names of the state that the module lacks
  std::vector<optim::Misfit> skipped{};   ///< names of both whose shapes differ
};

/// What all parts of a network have in common: parameters, buffers and further modules. What a part computes
/// is in Layer (layer.h), from which layers derive; a part that only holds others derives from this.
///
/// All that the library knows of a module comes from visit, when it is needed: nothing is registered, so a
/// module may be moved at any time. It is copied by clone() only, never by accident.
///
/// Threads may evaluate one module at once; training it changes buffers and generators, which is for one
/// thread.
class TAPEGRAD_API ModuleBase {
 public:
  virtual ~ModuleBase();
  ModuleBase(const ModuleBase&) = delete;
  ModuleBase& operator=(const ModuleBase&) = delete;

  /// Names each Parameter, Buffer, Generator and module that is a member, always the same ones in the same
  /// order, and does nothing else: it is called often, also by several threads at once.
  ///
  /// What it forgets is not trained, saved or checked, and stays in training mode. Where a tape has recorded a
  /// module, or a parameter, that is used inside this one and that no visit of the modules around names, state,
  /// load_state and clone throw Error and name it, and so does the step of an optimizer that has a gradient and not
  /// the parameter, or that trains a module that uses a forgotten Dropout. Frozen parameters and modules in evaluation
  /// mode, such as a teacher, may be left out.
  virtual void visit(Visitor& v);

  /// A scope in which messages speak of this module: `affine 'net.fc2'`. The name is the one under which the
  /// module whose scope is open around this one visits it; a module that is called by itself has none. For
  /// functions other than forward, which open it themselves: `const NameScope inside = scope();`
  NameScope scope() const { return NameScope({}, this, &kScope); }

  /// Trainable tensors with their path, as in "fc1.weight"; a shared parameter once, under its first name.
  /// Throws ArgumentError where visit gives one name twice; so do all functions below that walk the module.
  std::vector<std::pair<std::string, Parameter>> parameters() const;
  /// Tensors that are not trained, with their path.
  std::vector<std::pair<std::string, Tensor>> buffers() const;
  /// This module, whose path is empty, and all within it in the order of visiting; one reached twice counts once.
  std::vector<std::pair<std::string, ModuleBase*>> modules();
  /// The parameters for an optimizer: a group for each weight decay that modules set, and one for those of none.
  optim::ParameterGroups groups() const;
  /// The weight decay of each of parameters(), in their order; of one that two modules share, that of the module which
  /// visit reaches first. An optimizer that is given a module asks for them.
  std::vector<std::optional<double>> weight_decays() const;
  /// The weight decay that this module sets for a parameter within it of this path, as "fc1.weight"; none: it leaves
  /// that to the module around it, and at last to the optimizer. A module within it that sets one comes first.
  virtual std::optional<double> weight_decay(std::string_view path) const;
  /// How many numbers the parameters hold, frozen or not.
  std::int64_t parameter_count() const;

  /// Training mode, or evaluation: what BatchNorm and Dropout do. A new module is in training mode.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const noexcept { return training_; }
  /// Makes all parameters constants, or trainable again.
  void freeze(bool frozen = true);

  /// Copies of the parameters, buffers and generators with their paths, in the order of visiting; a shared parameter
  /// once. A generator is an i64 tensor [3]: seed, stream and position, with the bits of these unsigned numbers.
  /// Training that loads it draws the numbers that would have come next.
  State state() const;
  /// Copies those values in. Throws ArgumentError for names that are missing or unexpected, listing them,
  /// ShapeError or DtypeError for a tensor that does not fit; the module is then unchanged. A generator that the state
  /// does not name, such as one from PyTorch or of a former version, goes on as it is. A buffer of f64 takes f32, too.
  /// Weights of PyTorch's linear layers are the transpose of Affine's, which load_foreign (io/foreign.h) knows: an
  /// error says so where the shape tells; that of a square one does not.
  ///
  /// With `.strict = false` what is missing stays as it is, and what is unexpected or of another shape is left out: as
  /// weights of a network whose last layer was another. All three are returned, and empty where strict. A shape is no
  /// reason to leave a tensor out where it is the transpose of what is expected: that throws, too, as does another
  /// dtype.
  LoadResult load_state(const State& state, LoadOptions options = {});

  /// An independent module with the same values, modes, buffers and generators. Parameters that are shared
  /// within this module are shared within the clone. Throws Error where a module does not override new_like().
  std::unique_ptr<ModuleBase> clone() const;
  /// The library's own: what was found to be missing in visit.
  const detail::UnlistedMembers& unlisted() const noexcept { return unlisted_; }
  /// A module of the same class and structure, with any values, for clone() to fill in:
  ///
  ///     std::unique_ptr<nn::ModuleBase> new_like() const override {
  ///       return std::make_unique<MyNet>(arguments);
  ///     }
  ///
  /// Settings that visit does not name are for new_like() to pass on. Throws Error unless overridden.
  virtual std::unique_ptr<ModuleBase> new_like() const;

  /// What forward in training mode exchanges numbers with other ranks by (all_reduce, a synchronised BatchNorm); null
  /// for a module that does not, modules within it left aside. A trainer with ranks asks, so that nothing else is
  /// exchanged at the same time.
  virtual const Communicator* communicator() const noexcept { return nullptr; }

 protected:
  ModuleBase() noexcept = default;
  ModuleBase(ModuleBase&&) noexcept = default;
  ModuleBase& operator=(ModuleBase&&) noexcept = default;
  /// scope() of a module that another knows under this name, which need not be searched then.
  static NameScope scope_of(const ModuleBase& module, std::string_view name) {
    return NameScope(name, &module, &kScope);
  }
  /// layer(a...), likewise.
  template <class R, class... A>
  static R call(Layer<R(A...)>& layer, std::string_view name, std::type_identity_t<A>... a) {
    return layer.run(name, std::forward<A>(a)...);
  }

 private:
  template <class Signature>
  friend class Layer;
  friend class EvaluationMode;
  static void find_name(const NameScope& scope, detail::PoolString& name);
  static void require_listed(const NameScope& scope, std::uint64_t parameter, const Shape& shape);
  static const NameScope::Kind kScope;

  bool training_ = true;
  mutable detail::UnlistedMembers unlisted_;
};

/// While it lives, a module and all within it are in evaluation mode. Parts of it may have modes of their own, which
/// they get back.
class TAPEGRAD_API EvaluationMode {
 public:
  /// Puts the module into evaluation mode.
  explicit EvaluationMode(ModuleBase& module);
  ~EvaluationMode();
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  std::vector<std::pair<ModuleBase*, bool>> modes_;
};

/// An independent copy of a module as its own class; see ModuleBase::clone.
template <class M>
std::unique_ptr<M> clone(const M& module) {
  // clone() has checked that the copy is of the module's dynamic class.
  return std::unique_ptr<M>(static_cast<M*>(static_cast<const ModuleBase&>(module).clone().release()));
}

/// new_like() of a member, as the member's class: for the new_like() of a module that holds others by pointer.
template <class M>
std::unique_ptr<M> new_like(const M& module) {
  std::unique_ptr<ModuleBase> made = module.new_like();
  auto* const typed = dynamic_cast<M*>(made.get());
  if (!typed) detail::throw_other_class(module, made.get());
  static_cast<void>(made.release());
  return std::unique_ptr<M>(typed);
}

}  // namespace tapegrad::nn
