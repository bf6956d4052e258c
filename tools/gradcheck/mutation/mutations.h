#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/gradcheck/mutation/term_mutations.h>

/// The mutations that the self-test applies to the backward rules of operations, to see whether the checker
/// finds them.
namespace tapegrad::gradcheck::detail {

enum class MutationKind : std::uint8_t {
  none,  ///< the formula in the observed number type, unaltered: the checker must find nothing
  zero,
  negated,
  doubled,
  slightly_scaled,  ///< by 1 + 1e-6
  single_precision,
  one_zeroed,
  off_by_one,  ///< every element moved on by one
  transposed,
  without_mean,      ///< its mean is missing
  swapped,           ///< the gradients of two inputs of one shape
  averaged,          ///< over what should be summed for a broadcast operand
  not_reduced,       ///< not summed for a broadcast operand
  overwrites,        ///< what the input's gradient was before
  mutates_incoming,  ///< it writes to the incoming gradient
  stale_saved,       ///< the saved inputs and output are others than those of the forward pass
  stale_residual,    ///< the same for the saved residuals
  last_forward,      ///< all that is saved is what the last forward pass has left, wherever that was
  f32_alone,         ///< scaled by 1 + 1e-3, of f32
  some_inputs,       ///< doubled where not all inputs need a gradient
  ties,              ///< each of several equal elements gets what is meant for all of them together
  detached,          ///< the recorded gradient has the value, and no derivative
  formula,           ///< one operation of the formula is replaced, see MutationOperator
  term,              ///< one term of a rule on tensors is wrong, see TermMutation
};

struct Mutation {
  MutationKind kind = MutationKind::none;
  /// The one of the op's rules that has it; none where all have it, so that nothing is found by comparing
  /// them.
  std::optional<Rule> rule = Rule::fused;
  // Of a formula:
  std::size_t gradient = 0;  ///< of which input
  std::size_t site = 0;
  MutationOperator mutation_operator = MutationOperator::none;
  std::string formula{};  ///< "sin omitted"
  // Of a rule on tensors:
  MutatedTerm term{};

  /// "doubled, as recorded".
  std::string name() const;
  /// "doubled".
  std::string kind_name() const;
};

/// All mutations that can be applied to an op, whether they make a difference there or not; the terms of its
/// rule are those at its samples as the seed draws them.
std::vector<Mutation> mutations_of(const Catalog::Op& op, std::uint64_t seed);

}  // namespace tapegrad::gradcheck::detail
