#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

/// What becomes infinite in the dtype that is computed in would meet a 0 there.
bool is_held(double value, const Tensor& x) {
  return !x.defined() || !is_floating(x.dtype()) || std::abs(value) <= row_of(x.dtype()).largest;
}

template <class Op>
void check(const Op&, const char* attribute, double value, const Tensor& x) {
  if (!is_held(value, x))
    throw ArgumentError(fmt::format("{}: {} {} is not a finite number of {}", op_label(Op::name), attribute,
                                    value, name_of(x.dtype())));
}
void check(const op::Softplus&, const char*, double beta, const Tensor& x) {
  if (!(beta > 0 && is_held(beta, x) && is_held(1 / beta, x)))
    throw ArgumentError(fmt::format("{}: beta {} is not positive and finite in {}, or its reciprocal is not",
                                    op_label(op::Softplus::name), beta,
                                    x.defined() ? name_of(x.dtype()) : "f64"));
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
    check(op, #attribute, attribute, x);                                   \
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
