#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>

/// Mutation testing of the checker: the rules of every op are altered, one mutation at a time, and the
/// checker has to find each.
namespace tapegrad::gradcheck {

/// What became of one mutation.
struct MutationResult {
  enum class Status : std::uint8_t {
    killed,      ///< the check of some sample failed
    equivalent,  ///< no gradient of any sample differs, as listed, for the reason given
    survived,    ///< gradients differ, and no sample failed
    no_effect,  ///< no gradient of any sample differs, and it is not listed: a sample is missing, or a reason
    not_equivalent,  ///< listed as equivalent, and killed all the same
    error,           ///< not tested to the end: something was thrown outside of a check, or its time was over
  };
  std::string op;
  /// "sin omitted, operation 1"; of an error also "samples" or "mutations", which could not be made.
  std::string mutation;
  Status status = Status::survived;
  /// The sample and the check that found it; or the reason why it makes no difference; or what went wrong.
  std::string explanation{};
};

TAPEGRAD_API std::string_view name_of(MutationResult::Status status) noexcept;

/// Those of the library's ops.
TAPEGRAD_API std::vector<EquivalentMutation> library_equivalents();

/// Checks an op under each of its mutations. Elements are drawn by the options' seed, as in check_op. What the
/// op throws is a result.
TAPEGRAD_API std::vector<MutationResult> self_test(const Catalog::Op& op, const Options& options,
                                                   const std::vector<EquivalentMutation>& equivalents);

}  // namespace tapegrad::gradcheck
