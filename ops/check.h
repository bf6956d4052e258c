#pragma once

#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/axes.h>

#include <fmt/format.h>

/// What operations require of their inputs. Each error names the op, what was given, and the cure.
namespace tapegrad::detail {

/// Throws DtypeError for an input of integers; `what`: as in "predictions".
inline void require_floating(std::string_view op, const Tensor& x, std::string_view what = "an input") {
  if (!is_floating(x.dtype()))
    throw DtypeError(fmt::format("{}: {} of {}; this operation takes f32 and f64, cast it first",
                                 op_label(op), what, name_of(x.dtype())));
}

/// Throws DtypeError where a and b differ in it; `a_what`, `b_what`: as in "weight", "bias".
inline void require_same_dtype(std::string_view op, const Tensor& a, const Tensor& b, std::string_view a_what,
                               std::string_view b_what) {
  if (a.dtype() != b.dtype())
    throw DtypeError(
        fmt::format("{}: {} of {} and {} of {}; cast one of them (tensors are not converted silently)",
                    op_label(op), a_what, name_of(a.dtype()), b_what, name_of(b.dtype())));
}

/// Throws DtypeError where indices are no integers.
inline void require_indices(std::string_view op, const Tensor& indices) {
  if (indices.dtype() != i64)
    throw DtypeError(
        fmt::format("{}: the indices are {}; cast them to i64", op_label(op), name_of(indices.dtype())));
}

/// An axis of x in [0, rank). Throws ArgumentError where there is no such axis, or x is undefined.
inline std::size_t require_axis(std::string_view op, const Tensor& x, std::int64_t axis) {
  return axis_of(x, axis, op);
}

}  // namespace tapegrad::detail
