#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>

namespace tapegrad {

#define TAPEGRAD_ROW(function, Op, ...)                              \
  Tensor function(const Tensor& x) { return apply_op(op::Op{}, x); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, name, initialiser, attribute, standard)                                   \
  Tensor function(const Tensor& x, double attribute) { return apply_op(op::Op{.attribute = attribute}, x); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, ...)                                                                  \
  Tensor function(const Tensor& x, const Tensor& parameter) { return apply_op(op::Op{}, x, parameter); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

}  // namespace tapegrad
