#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/axes.h>

/// What operations require of their operands. Each error names the op, what was given, and the cure. The words are
/// put together out of line: a check that holds costs its comparison.
namespace tapegrad::detail {

/// What errors call an operand: "weight", or one of several, "part 2". Passed by value, in registers, as the op's
/// name is without its length: a check that holds writes no memory and counts no characters.
struct OperandName {
  const char* name;
  std::int64_t number = -1;  ///< none

  OperandName(const char* of_one) : name(of_one) {}
  OperandName(const char* of_each, std::size_t i) : name(of_each), number(static_cast<std::int64_t>(i)) {}
};
TAPEGRAD_API std::string to_string(OperandName x);

[[noreturn]] TAPEGRAD_API void throw_undefined(const char* op, OperandName x);
[[noreturn]] TAPEGRAD_API void throw_not_floating(const char* op, OperandName x, Dtype dtype);
[[noreturn]] TAPEGRAD_API void throw_no_derivative(const char* op, OperandName x, Dtype dtype);
[[noreturn]] TAPEGRAD_API void throw_mixed_dtypes(const char* op, OperandName a, Dtype a_dtype, OperandName b,
                                                  Dtype b_dtype);
[[noreturn]] TAPEGRAD_API void throw_not_indices(const char* op, OperandName x, Dtype dtype);

/// Throws ArgumentError for an undefined tensor.
inline void require_defined(const char* op, const Tensor& x, OperandName name = "the input") {
  if (!x.defined()) throw_undefined(op, name);
}

/// An axis of x in [0, rank); throws ArgumentError naming `op` otherwise, or where x is undefined.
TAPEGRAD_API std::size_t axis_of(const Tensor& x, std::int64_t axis, const char* op);
/// Where an axis new to x goes, in [0, rank]; throws in the same way.
TAPEGRAD_API std::size_t new_axis_of(const Tensor& x, std::int64_t axis, const char* op);
/// The axes of x; throws in the same way, or where one is named twice.
TAPEGRAD_API AxisMask axes_of(const Tensor& x, const Axes& axes, const char* op);

/// Throws DtypeError for a tensor of integers, which this operation does not take.
inline void require_floating(const char* op, const Tensor& x, OperandName name = "the input") {
  if (!is_floating(x.dtype())) throw_not_floating(op, name, x.dtype());
}

/// Throws DtypeError for a tensor of integers, of or for which a derivative was asked.
inline void require_derivative(const char* op, const Tensor& x, OperandName name) {
  if (!is_floating(x.dtype())) throw_no_derivative(op, name, x.dtype());
}

/// Throws DtypeError where the dtypes of a and b differ.
inline void require_same_dtype(const char* op, const Tensor& a, const Tensor& b, OperandName a_name,
                               OperandName b_name) {
  if (a.dtype() != b.dtype()) throw_mixed_dtypes(op, a_name, a.dtype(), b_name, b.dtype());
}

/// Throws DtypeError where indices are not of i64.
inline void require_indices(const char* op, const Tensor& x, OperandName name = "the indices") {
  if (x.dtype() != i64) throw_not_indices(op, name, x.dtype());
}

}  // namespace tapegrad::detail
