#include <cmath>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/activation_ops.h>
#include <tapegrad/ops/elementwise/math_ops.h>
#include <tapegrad/ops/elementwise/special_ops.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

#define TAPEGRAD_ROW(function, Op)                                                       \
  Tensor function(const Tensor& a, const Tensor& b) { return apply_op(op::Op{}, a, b); } \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_BINARY_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

namespace {

template <class Op>
Tensor binary_function(const Tensor& a, const Tensor& b) {
  if constexpr (requires { Op::divides_integers; })
    if (a.defined() && a.dtype() == i64 && a.size() > 0 && b.defined() && b.dtype() == i64) {
      const auto* divisors = detail::TensorAccess::data_as<std::int64_t>(b);
      if (detail::first_equal(divisors, b.size(), std::int64_t{0}) < b.size())
        throw ArgumentError(fmt::format(
            "{}: integer division by zero: {} has an element that is 0; of f32 and f64 the result is NaN",
            op_label(Op::name),
            b.rank() == 0 ? "the divisor" : fmt::format("the divisor {}", to_string(b.shape()))));
    }
  return apply_op(Op{}, a, b);
}

}  // namespace

#define TAPEGRAD_ROW(function, Op)                                                            \
  Tensor function(const Tensor& a, const Tensor& b) { return binary_function<op::Op>(a, b); } \
  Tensor function(const Tensor& a, double b) {                                                \
    return binary_function<op::Op>(a, detail::scalar_beside(a, b, op::Op::name));             \
  }                                                                                           \
  Tensor function(double a, const Tensor& b) {                                                \
    return binary_function<op::Op>(detail::scalar_beside(b, a, op::Op::name), b);             \
  }                                                                                           \
  template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_BINARY_FUNCTIONS(TAPEGRAD_ROW)
TAPEGRAD_COMPARISON_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(Op) template const OpInfo& detail::info_of<op::Op>();
TAPEGRAD_MIXED_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

namespace {
// Beside integers, a number must be one: 2.5 * i64 would silently be 2 * i64.
void require_whole(const Tensor& x, double c, const char* op) {
  if (x.dtype() == Dtype::i64 && (std::trunc(c) != c || std::abs(c) > 9007199254740992.0))
    throw DtypeError(
        fmt::format("{}: the number {} is not a whole number that a tensor of i64 can take; cast the tensor "
                    "to f32 or f64",
                    op_label(op), c));
}

template <class Op>
Tensor with_scalar(const Op& op, const Tensor& x) {
  require_whole(x, op.c, Op::name);
  return apply_op(op, x);
}
}  // namespace

Tensor& detail::assign_result(const char* name, Tensor& a, const Tensor& b, Tensor result) {
  if (result.shape() != a.shape())
    throw ShapeError(fmt::format(
        "{}: the result of {} and {} is {}, which is not the shape of the left side; write a = a {} b "
        "to give it another",
        name, to_string(a.shape()), to_string(b.shape()), to_string(result.shape()),
        std::string_view(name).substr(0, 1)));
  return a = std::move(result);
}

Tensor add(const Tensor& a, double b) { return with_scalar(op::AddScalar{.c = b}, a); }
Tensor sub(double a, const Tensor& b) { return with_scalar(op::ScalarSub{.c = a}, b); }
Tensor mul(const Tensor& a, double b) { return with_scalar(op::MulScalar{.c = b}, a); }
Tensor div(const Tensor& a, double b) { return apply_op(op::DivScalar{.c = b}, a); }
Tensor div(double a, const Tensor& b) { return apply_op(op::ScalarDiv{.c = a}, b); }
Tensor pow(const Tensor& x, double y) { return apply_op(op::PowScalar{.c = y}, x); }
Tensor pow(double x, const Tensor& y) { return pow(detail::scalar_beside(y, x, op::Pow::name), y); }

Tensor clamp(const Tensor& x, double lo, double hi) {
  if (!(lo <= hi))
    throw ArgumentError(
        fmt::format("{}: lo {} and hi {} given; lo must not be above hi", op_label("clamp"), lo, hi));
  require_whole(x, lo, "clamp");
  require_whole(x, hi, "clamp");
  return apply_op(op::Clamp{.lo = lo, .hi = hi}, x);
}

Tensor nan_to_num(const Tensor& x, double nan, std::optional<double> posinf, std::optional<double> neginf) {
  const double largest = x.defined() ? row_of(x.dtype()).largest : 0;
  return apply_op(op::NanToNum::of(largest, nan, posinf, neginf), x);
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Tensor c = condition.detach();
  // Compared before it is converted: a condition of 0.5 must not become 0 beside integers.
  return apply_op(op::Where{}, c.defined() && c.dtype() != a.dtype() ? cast(c != 0, a.dtype()) : c, a, b);
}
Tensor where(const Tensor& condition, const Tensor& a, double b) {
  return where(condition, a, detail::scalar_beside(a, b, op::Where::name));
}
Tensor where(const Tensor& condition, double a, const Tensor& b) {
  return where(condition, detail::scalar_beside(b, a, op::Where::name), b);
}

Tensor scalar_like(const Tensor& x, double value) { return detail::scalar_beside(x, value, "scalar_like"); }

namespace detail {
Tensor scalar_beside(const Tensor& x, double value, const char* op) {
  require_whole(x, value, op);
  return Tensor::scalar(value, x.dtype());
}

Tensor gradient_sum(const Tensor& a, const Tensor& b) { return add(a, b); }
}  // namespace detail

}  // namespace tapegrad
