#include <tapegrad/ops/loops/reduce.h>

namespace tapegrad::detail {

TAPEGRAD_COMMON_REDUCTIONS(, float)
TAPEGRAD_COMMON_REDUCTIONS(, double)

}  // namespace tapegrad::detail
