#pragma once

#include <optional>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/elementwise/rows.h>

/// Elementwise arithmetic, mathematical functions, selection and comparison; <tapegrad/ops/elementwise/rows.h> holds
/// the documentation of those that are declared from its rows. All of it broadcasts (aligned at the last axis, an
/// axis of size 1 is repeated) and takes f32 or f64; where i64 is taken too, it says so. Operands of different
/// dtypes throw DtypeError, shapes that do not broadcast ShapeError. A C++ number takes the tensor's dtype; one that
/// is not whole throws DtypeError beside i64.
///
/// Beside `using namespace std` C++ cannot tell some names apart from classes of the standard library, and std from its
/// namespace. Write a < b, a <= b, a > b and a >= b for less, less_equal, greater and greater_equal, stddev(x) for
/// std(x), and tapegrad::identity, tapegrad::slice, tapegrad::stack and tapegrad::map (of <tapegrad/ops/map.h>, which
/// tapegrad.h leaves out).
namespace tapegrad {

#define TAPEGRAD_ROW(function, Op) TAPEGRAD_API Tensor function(const Tensor& x);
TAPEGRAD_UNARY_OPS(TAPEGRAD_ROW)
TAPEGRAD_SLOPE_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op) TAPEGRAD_API Tensor function(const Tensor& a, const Tensor& b);
TAPEGRAD_BINARY_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

#define TAPEGRAD_ROW(function, Op)                                \
  TAPEGRAD_API Tensor function(const Tensor& a, const Tensor& b); \
  TAPEGRAD_API Tensor function(const Tensor& a, double b);        \
  TAPEGRAD_API Tensor function(double a, const Tensor& b);
TAPEGRAD_BINARY_FUNCTIONS(TAPEGRAD_ROW)
TAPEGRAD_COMPARISON_OPS(TAPEGRAD_ROW)
#undef TAPEGRAD_ROW

/// Sum, difference, product, quotient and power of which one operand is a number; of the tensor's dtype.
TAPEGRAD_API Tensor add(const Tensor& a, double b);
TAPEGRAD_API Tensor sub(double a, const Tensor& b);
TAPEGRAD_API Tensor mul(const Tensor& a, double b);
TAPEGRAD_API Tensor div(const Tensor& a, double b);
TAPEGRAD_API Tensor div(double a, const Tensor& b);
TAPEGRAD_API Tensor pow(const Tensor& x, double y);
TAPEGRAD_API Tensor pow(double x, const Tensor& y);
/// e^(-c x^2): the derivative of erf but for a factor, where c is 1.
TAPEGRAD_API Tensor gaussian(const Tensor& x, double c);
/// x limited to [lo, hi]: also i64. The gradient is 1 within and on the bounds, 0 outside. Throws
/// ArgumentError for lo > hi.
TAPEGRAD_API Tensor clamp(const Tensor& x, double lo, double hi);
/// x with other numbers for NaN and the infinities; where none are given, the largest finite numbers of its dtype for
/// these. The gradient is 1 where x is finite, else 0.
TAPEGRAD_API Tensor nan_to_num(const Tensor& x, double nan = 0, std::optional<double> posinf = {},
                               std::optional<double> neginf = {});
/// a where the condition is not zero, else b: also i64. The condition may have any dtype and has no gradient.
/// All three broadcast. The one that is not taken contributes exactly nothing to a gradient of any order, even where
/// it is infinite or NaN, or its derivative is: where(x > 0, sqrt(x), x) has the gradient 1 at -1. So it is with all
/// elementwise operations and `map`: an incoming gradient of exactly 0 wins over a derivative that is not finite. Where
/// that 0 is not one of a branch that is not taken, but of a function that happens to have it, as square(sqrt(x * x))
/// at 0, derivatives of the next order are right or NaN. A C++ number that is infinite or NaN, as in x * inf or x /
/// 0.0, is no singular point but a factor of all elements: its NaN shows in gradients, in `map` from the second order
/// on.
TAPEGRAD_API Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor where(const Tensor& condition, const Tensor& a, double b);
TAPEGRAD_API Tensor where(const Tensor& condition, double a, const Tensor& b);

/// The elements converted. Differentiable between f32 and f64, rounding to nearest: what lies beyond f32 becomes
/// infinite. To i64 it truncates toward zero and gives a constant; throws ArgumentError for a value that i64 cannot
/// hold, outside [-2^63, 2^63) or NaN. From i64 it rounds to nearest.
TAPEGRAD_API Tensor cast(const Tensor& x, Dtype to);

/// A number as a scalar tensor of x's dtype. Throws DtypeError where x is i64 and the number is not whole.
TAPEGRAD_API Tensor scalar_like(const Tensor& x, double value);
namespace detail {
/// The same for the function `op`, which errors name.
TAPEGRAD_API Tensor scalar_beside(const Tensor& x, double value, const char* op);
}  // namespace detail

/// The functions add, sub, mul, div and neg as operators.
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator-(const Tensor& a, double b) { return add(a, -b); }
inline Tensor operator-(double a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, b); }
inline Tensor operator/(double a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& x) { return neg(x); }

namespace detail {
/// a = result, of `name`, such as "+="; throws ShapeError where b was broadcast to another shape than a's.
TAPEGRAD_API Tensor& assign_result(const char* name, Tensor& a, const Tensor& b, Tensor result);
}  // namespace detail

/// a = a + b, and so on: `a` becomes a handle on a new tensor, recorded like any other. Other handles on the former one
/// do not change, and what a backward needs of it stays. Throws ShapeError where the result would have another shape
/// than a.
inline Tensor& operator+=(Tensor& a, const Tensor& b) { return detail::assign_result("+=", a, b, add(a, b)); }
inline Tensor& operator+=(Tensor& a, double b) { return a = add(a, b); }
inline Tensor& operator-=(Tensor& a, const Tensor& b) { return detail::assign_result("-=", a, b, sub(a, b)); }
inline Tensor& operator-=(Tensor& a, double b) { return a = add(a, -b); }
inline Tensor& operator*=(Tensor& a, const Tensor& b) { return detail::assign_result("*=", a, b, mul(a, b)); }
inline Tensor& operator*=(Tensor& a, double b) { return a = mul(a, b); }
inline Tensor& operator/=(Tensor& a, const Tensor& b) { return detail::assign_result("/=", a, b, div(a, b)); }
inline Tensor& operator/=(Tensor& a, double b) { return a = div(a, b); }

/// The comparisons equal, not_equal, less, less_equal, greater and greater_equal as operators: 1 where they hold, else
/// 0.
inline Tensor operator==(const Tensor& a, const Tensor& b) { return equal(a, b); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return not_equal(a, b); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return less(a, b); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return less_equal(a, b); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return greater(a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return greater_equal(a, b); }
inline Tensor operator==(const Tensor& a, double b) { return equal(a, b); }
inline Tensor operator!=(const Tensor& a, double b) { return not_equal(a, b); }
inline Tensor operator<(const Tensor& a, double b) { return less(a, b); }
inline Tensor operator<=(const Tensor& a, double b) { return less_equal(a, b); }
inline Tensor operator>(const Tensor& a, double b) { return greater(a, b); }
inline Tensor operator>=(const Tensor& a, double b) { return greater_equal(a, b); }
inline Tensor operator==(double a, const Tensor& b) { return b == a; }
inline Tensor operator!=(double a, const Tensor& b) { return b != a; }
inline Tensor operator<(double a, const Tensor& b) { return b > a; }
inline Tensor operator<=(double a, const Tensor& b) { return b >= a; }
inline Tensor operator>(double a, const Tensor& b) { return b < a; }
inline Tensor operator>=(double a, const Tensor& b) { return b <= a; }

}  // namespace tapegrad
