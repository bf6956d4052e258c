#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check.h>
#include <tapegrad/gradcheck/check/formula.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/op.h>
#include <tapegrad/ops/op_info.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad::gradcheck {

/// A module in the state it is to be checked in, its inputs, and a function that runs it on them.
struct ModuleSample {
  /// What runs the module.
  using Function = std::vector<Tensor> (*)(nn::ModuleBase& module, std::span<const Tensor> inputs);

  std::string label;                       ///< for messages
  std::unique_ptr<nn::ModuleBase> module;  ///< in the state it is to be checked in
  std::vector<SampleInput> inputs;         ///< in the function's order
  /// Its results; of a module of one tensor, unless another is given.
  Function function = [](nn::ModuleBase& m, std::span<const Tensor> in) {
    return std::vector{dynamic_cast<nn::Module&>(m)(in[0])};
  };
  /// Inconclusive checks from this order on do not count against the module.
  int uncertain_from = 255;
};

/// Makes the samples of a kind of module. Random numbers are to come from the generator.
using ModuleSamples = std::vector<ModuleSample> (*)(Generator& generator);

/// For --self-test: a mutation of an op's rules that makes no difference, and why. Names are shell globs,
/// that of the mutation as the self-test prints it.
struct EquivalentMutation {
  std::string op;        ///< its name
  std::string mutation;  ///< as printed
  std::string reason;    ///< why no gradient differs
};

/// What became of one mutation.
struct MutationResult {
  /// What became of it.
  enum class Status : std::uint8_t {
    killed,      ///< the check of some sample failed
    equivalent,  ///< no gradient of any sample differs, as listed, for the reason given
    survived,    ///< gradients differ, and no sample failed
    no_effect,  ///< no gradient of any sample differs, and it is not listed: a sample is missing, or a reason
    not_equivalent,  ///< listed as equivalent, and killed all the same
    error,           ///< not tested to the end: something was thrown outside of a check, or its time was over
  };
  std::string op;  ///< whose rule was changed
  /// "sin omitted, sin 1"; of an error also "samples" or "mutations", which could not be made.
  std::string mutation;
  Status status = Status::survived;  ///< what became of it
  /// The sample and the check that found it; or the reason why it makes no difference; or what went wrong.
  std::string explanation{};
  double processor_seconds = 0;  ///< of the thread that tested it
};

/// As in reports: "killed", "survived", ...
TAPEGRAD_API std::string_view name_of(MutationResult::Status status) noexcept;

/// What the checking command walks: ops with their samples, and modules.
class TAPEGRAD_API Catalog {
 public:
  /// An operation with its samples.
  struct Op {
    std::string name;                          ///< as in reports
    std::uint8_t max_order;                    ///< highest order of derivative; 0: none
    unsigned nondifferentiable_inputs;         ///< bit i: the gradient of input i is zero by definition
    void (*samples)(Samples&);                 ///< the points to check it at
    const tapegrad::detail::OpTable* table;    ///< what the engine knows of it
    const detail::Formula* formula = nullptr;  ///< of an elementwise op
    /// Which way the decisions of the op go; null where it does not tell.
    Tensor (*branches)(const void* attributes, const Tensor* const* inputs, std::size_t count) = nullptr;
    std::optional<Waiver> waiver{};  ///< what is excused, if anything
  };
  /// A module with its samples.
  struct Module {
    std::string name;       ///< as in reports
    ModuleSamples samples;  ///< the states and inputs to check it at
  };

  /// Adds each of these structs of operations.
  template <class... T>
  void add_ops(TypeList<T...>) {
    (add_op(tapegrad::detail::info_of<T>(), detail::formula_of<T>()), ...);
  }
  /// `formula`: of an elementwise op, else null.
  void add_op(const OpInfo& info, const detail::Formula* formula) {
    ops_.push_back({info.name(), info.table->max_order, info.nondifferentiable_inputs, info.samples,
                    info.table, formula, info.branches, info.waiver});
  }
  /// By custom a module's name is that of its class after "nn.".
  void add_module(std::string name, ModuleSamples samples) { modules_.push_back({std::move(name), samples}); }

  /// Adds a mutation that makes no difference.
  void add_equivalent(EquivalentMutation e) { equivalents_.push_back(std::move(e)); }

  /// What was added, in that order.
  const std::vector<Op>& ops() const { return ops_; }
  const std::vector<Module>& modules() const { return modules_; }
  const std::vector<EquivalentMutation>& equivalents() const { return equivalents_; }

 private:
  std::vector<Op> ops_;
  std::vector<Module> modules_;
  std::vector<EquivalentMutation> equivalents_;
};

/// One of several equal parts of the work: every count-th op or module, from the index-th on.
struct Shard {
  int index = 1;  ///< which part, from 1
  int count = 1;  ///< how many parts there are

  /// `place`: among ops and modules, counted from 0, ops first.
  bool has(std::size_t place) const {
    return place % static_cast<std::size_t>(count) + 1 == static_cast<std::size_t>(index);
  }
};

/// All ops and modules of the library.
TAPEGRAD_API const Catalog& library_catalog();

/// What the checks of one op or module have shown.
struct Subject {
  /// What the samples together have shown.
  enum class Standing : std::uint8_t {
    pass,
    not_differentiable,  ///< declared so, and indeed never recorded
    waived,              ///< something fails, for a reason that the op's struct gives
    unproven,            ///< nothing wrong, but for some input no derivative other than zero was seen
    inconclusive,        ///< at a sample that is not marked for it
    fail,
  };
  /// What one sample has shown.
  struct Sample {
    std::size_t number = 0;  ///< among all samples of the op or module
    std::uint64_t seed = 0;  ///< of this draw
    std::string label{};     ///< of the op or module
    Report report{};         ///< of the checks
    /// Checks from this order on are expected to be inconclusive.
    int uncertain_from = 255;
    double seconds = 0;            ///< by the clock
    double processor_seconds = 0;  ///< of the thread that checked it
    /// In fast mode only what its size decides was checked.
    bool size_alone = false;

    /// Whether a check is inconclusive that is not expected to be.
    TAPEGRAD_API bool unexpectedly_inconclusive() const;
  };
  /// Whether it is an operation or a module.
  enum class Kind : std::uint8_t { op, module };
  std::string name;                    ///< of the op or module
  Kind kind = Kind::op;                ///< what it is
  Standing standing = Standing::pass;  ///< of all samples
  int order = 1;                       ///< the highest order that was checked
  std::vector<Sample> samples;         ///< in their order
  /// Where it is waived: from which order, and why.
  std::string waived{};
  /// Where it is unproven: which inputs, at which order.
  std::vector<std::string> unproven;
};

/// As in reports: "pass", "fail", ...
TAPEGRAD_API std::string_view name_of(Subject::Standing s) noexcept;

/// Which samples of an op or a module are checked.
struct SampleChoice {
  /// The number of one sample, which need not prove what all together must; all samples where none is given.
  std::optional<std::size_t> only{};
  /// How often each is drawn: with the options' seed, and with those that follow it.
  int draws = 1;
};

/// Checks an op at its samples, or a module. The random elements depend on the options' seed, the name and
/// the number of the sample alone. Throws ArgumentError where there is no sample of the chosen number.
TAPEGRAD_API Subject check_op(const Catalog::Op& op, const Options& options, const SampleChoice& choice = {});
TAPEGRAD_API Subject check_module_samples(const Catalog::Module& module, const Options& options,
                                          const SampleChoice& choice = {});

}  // namespace tapegrad::gradcheck
