#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include <tapegrad/gradcheck/check/problem.h>

/// Sees which rules the tapes of a check run.
namespace tapegrad::gradcheck::detail {

/// How often one op's rule ran, by Rule, and with f32 among its inputs and result or without.
struct RuleRuns {
  tapegrad::detail::OpTable table{};  ///< stands in for the op's own; first, as the rule finds the rest by it
  const tapegrad::detail::OpTable* original = nullptr;
  std::array<std::array<std::size_t, 2>, 3> runs{};
};

/// While it lives, every problem that this thread checks is observed.
class RuleCoverage {
 public:
  RuleCoverage();
  ~RuleCoverage();
  RuleCoverage(const RuleCoverage&) = delete;
  RuleCoverage& operator=(const RuleCoverage&) = delete;

  /// That of this thread, or null.
  static RuleCoverage* current();
  /// Has the nodes of this thread's active tape run their rules under observation.
  void observe_tape();
  /// Null for an op that no tape had.
  const RuleRuns* runs_of(const tapegrad::detail::OpTable* table) const;
  /// All that were on a tape.
  const std::map<const tapegrad::detail::OpTable*, std::unique_ptr<RuleRuns>>& all() const { return all_; }

 private:
  std::map<const tapegrad::detail::OpTable*, std::unique_ptr<RuleRuns>> all_;
  RuleCoverage* before_;
};

/// A problem that shows its tapes to this thread's RuleCoverage.
class ObservedProblem final : public Problem {
 public:
  ObservedProblem(const Problem& of, RuleCoverage& coverage)
      : Problem(of.inputs()), of_(of), coverage_(coverage) {}
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override {
    std::vector<Tensor> results = of_.evaluate(in);
    coverage_.observe_tape();
    return results;
  }
  Tensor leaf(Tape& tape, std::size_t i, const Tensor& value) const override {
    return of_.leaf(tape, i, value);
  }
  Tensor constant(std::size_t i, const Tensor& value) const override { return of_.constant(i, value); }
  std::vector<std::uint8_t> branches(std::span<const Tensor> in) const override { return of_.branches(in); }

 private:
  const Problem& of_;
  RuleCoverage& coverage_;
};

}  // namespace tapegrad::gradcheck::detail
