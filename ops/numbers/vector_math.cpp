#include <tapegrad/ops/numbers/vector_math.h>

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__)
#error "the library looks at NaN, infinities, signs of zeros and rounding: compile it without -ffast-math"
#endif

namespace tapegrad::detail::vm {

// The header declares it where a file is compiled with flags that need it.
TAPEGRAD_API extern const std::uint64_t kZero;
const std::uint64_t kZero = 0;

}  // namespace tapegrad::detail::vm
