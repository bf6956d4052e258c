#include <fmt/core.h>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/loops/dispatch.h>

namespace tapegrad::detail {

void throw_not_compiled(Isa asked, Isa only) {
  throw Error(fmt::format(
      "this tapegrad was built with TAPEGRAD_ISA={}, and has no kernels for {}, which this processor is to use; "
      "build it with TAPEGRAD_ISA=all, or with TAPEGRAD_ISA=native here",
      name_of(only), name_of(asked)));
}

}  // namespace tapegrad::detail
