#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>

#include <fmt/format.h>

namespace tapegrad::detail {

std::string to_string(OperandName x) {
  return x.number < 0 ? x.name : fmt::format("{} {}", x.name, x.number);
}

void throw_undefined(const char* op, OperandName x) { throw_undefined_tensor(op_label(op), to_string(x)); }

void throw_not_floating(const char* op, OperandName x, Dtype dtype) {
  throw DtypeError(fmt::format("{}: {} of {}; this operation takes f32 and f64, cast it first", op_label(op),
                               to_string(x), name_of(dtype)));
}

void throw_no_derivative(const char* op, OperandName x, Dtype dtype) {
  throw DtypeError(
      fmt::format("{}: {} of {} has no derivative; cast it to f32 or f64, or let the function capture it",
                  op_label(op), to_string(x), name_of(dtype)));
}

void throw_mixed_dtypes(const char* op, OperandName a, Dtype a_dtype, OperandName b, Dtype b_dtype) {
  throw DtypeError(
      fmt::format("{}: {} of {} and {} of {}; cast one of them (tensors are not converted silently)",
                  op_label(op), to_string(a), name_of(a_dtype), to_string(b), name_of(b_dtype)));
}

void throw_not_indices(const char* op, OperandName x, Dtype dtype) {
  throw DtypeError(
      fmt::format("{}: {} of {}; they must be i64, cast them", op_label(op), to_string(x), name_of(dtype)));
}

std::size_t axis_of(const Tensor& x, std::int64_t axis, const char* op) {
  require_defined(op, x);
  return normalize_axis(axis, x.rank(), op);
}

std::size_t new_axis_of(const Tensor& x, std::int64_t axis, const char* op) {
  require_defined(op, x);
  return normalize_axis(axis, x.rank() + 1, op);
}

AxisMask axes_of(const Tensor& x, const Axes& axes, const char* op) {
  require_defined(op, x);
  return axes.mask(x.rank(), op);
}

}  // namespace tapegrad::detail
