#pragma once

#include <cstddef>

#include <tapegrad/graph/sanitizers.h>

namespace tapegrad::test {

/// Whether a suite that takes minutes under sanitizers runs on a sample there. The address sanitizer looks at memory
/// and takes ten times as long; what is computed is proven by the whole, without it.
#if TAPEGRAD_ASAN
inline constexpr bool kSampled = true;
#else
inline constexpr bool kSampled = false;
#endif

/// The step of a loop that visits all, or every nth as a sample.
constexpr std::size_t every(std::size_t nth) { return kSampled ? nth : 1; }

}  // namespace tapegrad::test
