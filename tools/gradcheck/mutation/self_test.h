#pragma once

#include <vector>

#include <tapegrad/gradcheck/catalog.h>

/// Mutation testing of the checker: the rules of every op are altered, one mutation at a time, and the
/// checker has to find each.
namespace tapegrad::gradcheck {

/// Checks an op under each of its mutations. Elements are drawn by the options' seed, as in check_op. What
/// the op throws is a result.
TAPEGRAD_API std::vector<MutationResult> self_test(const Catalog::Op& op, const Options& options,
                                                   const std::vector<EquivalentMutation>& equivalents);

}  // namespace tapegrad::gradcheck
