#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/math_ops.h>

namespace tapegrad {

#define TAPEGRAD_ROW(function, Op)                                   \
  Tensor function(const Tensor& x) { return apply_op(op::Op{}, x); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_UNARY_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

}  // namespace tapegrad
