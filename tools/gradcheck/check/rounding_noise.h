#pragma once

#include <cstdint>

#include <tapegrad/graph/random.h>
#include <tapegrad/graph/rule_probe.h>

namespace tapegrad::gradcheck::detail {

/// While it lives, what each rule of this thread's backward passes gives is moved at random by as much as its
/// rounding may be. How far a gradient moves by that is the rounding of the terms it was computed from, also
/// where these cancel and leave nothing that would tell how large they were.
class RoundingNoise final : public tapegrad::detail::RuleHook {
 public:
  explicit RoundingNoise(std::uint64_t seed) : generator_(seed, 3) {}
  void run(tapegrad::detail::RuleProbe& probe) override;

 private:
  Generator generator_;
};

}  // namespace tapegrad::gradcheck::detail
