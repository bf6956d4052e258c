#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/rule_context.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/tensor.h>

/// For tools that watch what rules do, or change it: a hook that this thread's backward passes run in place of
/// a node's rule. No node and no table of an op is touched for it.
namespace tapegrad::detail {

/// Which of an operation's rules a backward pass runs.
enum class RuleKind : std::uint8_t {
  fused,     ///< the one users get at first order: `vjp_fused`, or the loop of an elementwise op
  general,   ///< `vjp` at first order
  recorded,  ///< `vjp`, recorded for a further derivative
};

/// A rule that is about to run, or running.
class TAPEGRAD_API RuleProbe {
 public:
  RuleProbe(RuleContext& context, const OpTable& op) : context_(context), op_(op) {}

  const OpTable& op() const { return op_; }
  const void* attributes() const { return context_.attributes(); }
  RuleKind kind() const;
  std::size_t inputs() const { return context_.inputs(); }
  bool has_input(std::size_t i) const { return context_.has_input(i); }
  bool needs_grad(std::size_t i) const { return context_.needs_grad(i); }
  Shape input_shape(std::size_t i) const { return context_.input_shape(i); }
  Dtype input_dtype(std::size_t i) const { return context_.input_dtype(i); }
  Shape output_shape() const { return context_.output_shape(); }
  Dtype output_dtype() const;
  const Tensor& grad_output() const { return context_.grad_output(); }

  /// A value that the node has saved; see SaveMask for the bits.
  bool has_saved(unsigned bit) const;
  Tensor saved(unsigned bit) const;
  /// The bits of all values the node has saved, ascending.
  std::vector<unsigned> saved_bits() const;

  /// Puts another tensor, of the same shape and dtype, in the place of a saved value while it lives.
  class TAPEGRAD_API Replacement {
   public:
    Replacement(RuleProbe& probe, unsigned bit, Tensor value);
    ~Replacement();
    Replacement(const Replacement&) = delete;
    Replacement& operator=(const Replacement&) = delete;

   private:
    Saved& place_;
    Saved before_;
  };

  /// Runs the op's own rule (or the hook that was there before), which adds to the gradients of the inputs.
  void run();
  /// The same apart from what other nodes have added: what the rule gives for each input, an undefined tensor for
  /// one that it adds nothing to. An input that stands in several places has its gradient at the first.
  std::vector<Tensor> run_apart();
  /// True where the gradient of input i has a part from elsewhere already.
  bool has_gradient(std::size_t i) const;
  /// Puts a gradient in the place of all that input i has so far, which no right rule does.
  void overwrite(std::size_t i, Tensor gradient);
  /// Adds to the gradient of input i, as a rule does.
  void add(std::size_t i, Tensor gradient) { context_.add(i, std::move(gradient)); }

 private:
  friend class RuleHook;

  RuleContext& context_;
  const OpTable& op_;
  class RuleHook* next_ = nullptr;
};

/// The state of this thread, for a hook; throws Error where the thread is ending.
ThreadState& running_thread(const char* what);

/// While it lives, `run` stands in for each rule that a backward pass of this thread runs. Hooks nest: the last
/// one made is asked first, and RuleProbe::run asks the one before it.
class TAPEGRAD_API RuleHook {
 public:
  RuleHook();
  virtual ~RuleHook();
  RuleHook(const RuleHook&) = delete;
  RuleHook& operator=(const RuleHook&) = delete;

  virtual void run(RuleProbe& probe) = 0;

  /// Runs a node's rule under this hook; the engine calls it.
  void run_rule(RuleContext& context, const OpTable& op);

 private:
  RuleHook* before_;
};

/// While it lives, and where `on`, first-order passes of this thread run the general rules: no faster ones in their
/// place.
class TAPEGRAD_API GeneralRules {
 public:
  explicit GeneralRules(bool on = true);
  ~GeneralRules();
  GeneralRules(const GeneralRules&) = delete;
  GeneralRules& operator=(const GeneralRules&) = delete;

 private:
  bool before_;
};
inline bool general_rules_only() noexcept {
  const ThreadState* thread = current_thread;
  return thread && thread->general_rules;
}

}  // namespace tapegrad::detail
