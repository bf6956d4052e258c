#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <set>
#include <string>

#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/graph/rule_probe.h>

/// Sees which rules the backward passes of a check run.
namespace tapegrad::gradcheck::detail {

inline constexpr std::size_t kRules = 3;  ///< values of Rule

/// How often one op's rules ran.
struct RuleRuns {
  /// By Rule, and by the coarsest Dtype among the inputs and the result.
  std::array<std::array<std::size_t, kDtypes.size()>, kRules> of_dtype{};
  /// By Rule; bit i: with the optional input i, and without it.
  std::array<unsigned, kRules> with_input{}, without_input{};
  /// The values that each attribute had, at most two of them.
  std::map<std::string, std::set<std::string>> attributes{};
};

/// What was run by two threads and compared with one: the forward pass, and the backward pass by each Rule.
struct SharedPasses {
  bool forward = false;
  std::array<bool, kRules> backward{};
};

/// While it lives, the rules that this thread's backward passes run are counted.
class RuleCoverage final : public tapegrad::detail::RuleHook {
 public:
  RuleCoverage();
  ~RuleCoverage() override;

  /// That of this thread, or null.
  static RuleCoverage* current();
  /// Null for an op whose rules never ran.
  const RuleRuns* runs_of(const tapegrad::detail::OpTable* op) const;
  /// Those of all ops that ran any.
  const std::map<const tapegrad::detail::OpTable*, RuleRuns>& all() const { return all_; }

  /// What comparisons of one thread with two have run.
  const SharedPasses& shared() const { return shared_; }
  void add_shared(Rule rule, bool forward, bool backward) {
    shared_.forward |= forward;
    shared_.backward[static_cast<std::size_t>(rule)] |= backward;
  }

  void run(tapegrad::detail::RuleProbe& probe) override;

 private:
  std::map<const tapegrad::detail::OpTable*, RuleRuns> all_;
  SharedPasses shared_;
  RuleCoverage* before_;
};

}  // namespace tapegrad::gradcheck::detail
