#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

/// What becomes infinite in the dtype that is computed in would meet a 0 there.
bool is_held(double value, Dtype dtype) { return std::abs(value) <= row_of(dtype).largest; }

/// That of x, if it is one that the operation takes.
Dtype dtype_of_numbers(const Tensor& x) { return x.defined() && is_floating(x.dtype()) ? x.dtype() : f64; }

template <class Op>
void check(const char* attribute, double value, Dtype dtype) {
  if (!is_held(value, dtype))
    throw ArgumentError(fmt::format("{}: {} {} is not a finite number of {}", op_label(Op::name), attribute,
                                    value, name_of(dtype)));
}
template <>
void check<op::Softplus>(const char*, double beta, Dtype dtype) {
  if (!(beta > 0 && is_held(beta, dtype) && is_held(1 / beta, dtype)))
    throw ArgumentError(fmt::format("{}: beta {} is not positive and finite in {}, or its reciprocal is not",
                                    op_label(op::Softplus::name), beta, name_of(dtype)));
}

}  // namespace

#define TAPEGRAD_ROW(function, Op, ...)                              \
  Tensor function(const Tensor& x) { return apply_op(op::Op{}, x); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_ACTIVATIONS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op, name, initialiser, attribute, standard) \
  template <>                                                              \
  void detail::require_number<function>(double number) {                   \
    check<op::Op>(#attribute, number, f64);                                \
  }                                                                        \
  Tensor function(const Tensor& x, double attribute) {                     \
    check<op::Op>(#attribute, attribute, dtype_of_numbers(x));             \
    return apply_op(op::Op{.attribute = attribute}, x);                    \
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
