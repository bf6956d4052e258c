#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/elementwise/special_ops.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad {

#define TAPEGRAD_ROW(function, Op)                                   \
  Tensor function(const Tensor& x) { return apply_op(op::Op{}, x); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_UNARY_OPS(TAPEGRAD_ROW)
TAPEGRAD_SLOPE_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

Tensor gaussian(const Tensor& x, double c) { return apply_op(op::Gaussian{.c = c}, x); }

}  // namespace tapegrad
