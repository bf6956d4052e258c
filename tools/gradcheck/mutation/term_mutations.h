#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>
#include <tapegrad/graph/result_hook.h>

/// Mutations of rules on tensors: one term of a sum of products is left out, negated or transposed.
namespace tapegrad::gradcheck::detail {

enum class TermMutation : std::uint8_t {
  none,
  without_left,
  without_right,
  negated,
  right_negated,
  transposed
};

/// One operation that a rule applies, among those of its name, and what is wrong with it.
struct MutatedTerm {
  std::string op{};
  std::size_t place = 0;
  TermMutation mutation = TermMutation::none;
  /// What it is, wherever in the rule it stands: "mul(g, cos(x0))". Of several that are the same, the second
  /// is followed by "#2".
  std::string expression{};

  /// "left of mul omitted, mul(g, cos(x0)) of the rule".
  std::string name() const;
};

/// While it lives, the rule that is being recorded on this thread has the mutation.
class MutatedTermHook final : public tapegrad::detail::ResultHook {
 public:
  /// Refers to it.
  explicit MutatedTermHook(const MutatedTerm& term) : term_(term) {}
  Tensor run(const tapegrad::detail::OpTable& op, std::span<const Tensor* const> inputs,
             const Tensor& out) override;

 private:
  const MutatedTerm& term_;
  std::size_t next_ = 0;  ///< operations of that name so far
};

/// All that can be wrong with the terms of the op's rule, at any of its samples as the seed draws them.
std::vector<MutatedTerm> mutated_terms_of(const Catalog::Op& op, std::uint64_t seed);

}  // namespace tapegrad::gradcheck::detail
