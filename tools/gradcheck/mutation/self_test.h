#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/catalog.h>

/// The proof that the checker can fail: faults are planted in the rules of every op, one at a time, and each
/// has to be found.
namespace tapegrad::gradcheck {

/// What became of one planted fault.
struct PlantedFault {
  enum class Fate : std::uint8_t {
    killed,      ///< the check of some sample failed
    equivalent,  ///< no gradient of any sample differs, as listed, for the reason given
    survived,    ///< gradients differ, and no sample failed
    idle,        ///< no gradient of any sample differs, which is not listed: a sample is missing, or a reason
    listed_in_vain,  ///< listed as equivalent, and killed all the same
  };
  std::string op;
  std::string fault;  ///< "sin forgotten, operation 1"
  Fate fate = Fate::survived;
  /// The sample and the check that found it; or the reason why it makes no difference.
  std::string how{};
};

TAPEGRAD_API std::string_view name_of(PlantedFault::Fate fate) noexcept;

/// A fault that makes no difference, and why. Names are shell globs.
struct EquivalentFault {
  const char* op;
  const char* fault;
  const char* reason;
};

/// Those of the library's ops.
TAPEGRAD_API std::vector<EquivalentFault> library_equivalents();

/// Plants every fault in an op. Elements are drawn by the options' seed, as in check_op.
TAPEGRAD_API std::vector<PlantedFault> self_test(const Catalog::Op& op, const Options& options,
                                                 const std::vector<EquivalentFault>& equivalents);

}  // namespace tapegrad::gradcheck
