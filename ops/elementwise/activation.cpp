#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

template <class Op>
void check(const Op&) {}
void check(const op::Softplus& op) {
  if (!(op.beta > 0 && std::isfinite(op.beta)))
    throw ArgumentError(
        fmt::format("{}: beta {} is not positive and finite", op_label(op::Softplus::name), op.beta));
}

}  // namespace

#define TAPEGRAD_ROW(function, Op, ...)                              \
  Tensor function(const Tensor& x) { return apply_op(op::Op{}, x); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, name, initialiser, attribute, standard) \
  Tensor function(const Tensor& x, double attribute) {                     \
    const op::Op op{.attribute = attribute};                               \
    check(op);                                                             \
    return apply_op(op, x);                                                \
  }                                                                        \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_NUMBER_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, ...)                                                                  \
  Tensor function(const Tensor& x, const Tensor& parameter) { return apply_op(op::Op{}, x, parameter); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_LEARNT_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

}  // namespace tapegrad
