#pragma once

#include <cstddef>
#include <vector>

#include <tapegrad/gradcheck/mutation/mutations.h>
#include <tapegrad/gradcheck/mutation/observed_problem.h>
#include <tapegrad/graph/rule_probe.h>

namespace tapegrad::gradcheck::detail {

/// While it lives, a mutation is applied wherever a backward pass of this thread runs a rule of one op.
class MutatedRules final : public tapegrad::detail::RuleHook {
 public:
  /// Refers to all of them. `observed`: for the mutations that depend on it, else null.
  MutatedRules(const Catalog::Op& op, const Mutation& mutation, const ObservedProblem* observed)
      : op_(op), mutation_(mutation), observed_(observed) {}

  /// True once the mutation has made a gradient differ.
  bool made_a_difference() const { return made_a_difference_; }

  void run(tapegrad::detail::RuleProbe& probe) override;

 private:
  using Probe = tapegrad::detail::RuleProbe;
  /// What a rule gives for each input, an undefined tensor for one that it adds nothing to.
  using Parts = std::vector<Tensor>;

  void run_formula(Probe& probe);
  void run_with_other_values(Probe& probe);
  void run_and_share_ties(Probe& probe);
  void run_with_mutated_term(Probe& probe);
  void run_and_change_incoming(Probe& probe);
  void run_and_overwrite(Probe& probe);
  void run_and_swap(Probe& probe);
  void run_and_change_gradients(Probe& probe);
  Doubles by_formula(Probe& probe, std::size_t input, MutationOperator mutation_operator) const;
  void note(bool differs) { made_a_difference_ |= differs; }

  const Catalog::Op& op_;
  const Mutation& mutation_;
  const ObservedProblem* observed_;
  bool made_a_difference_ = false;
};

}  // namespace tapegrad::gradcheck::detail
