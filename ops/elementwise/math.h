#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/tensor.h>

/// Elementwise arithmetic. All of it broadcasts (aligned at the last axis, an axis of size 1 is repeated) and
/// takes f32 or f64; where i64 is taken too, it says so. Operands of different dtypes throw DtypeError,
/// shapes that do not broadcast ShapeError. A C++ number takes the tensor's dtype; one that is not whole
/// throws DtypeError beside i64.
namespace tapegrad {

/// a + b, a - b, a * b: also i64.
TAPEGRAD_API Tensor add(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor add(const Tensor& a, double b);
TAPEGRAD_API Tensor sub(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor sub(double a, const Tensor& b);
TAPEGRAD_API Tensor mul(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor mul(const Tensor& a, double b);
/// a / b, by IEEE 754: 1/0 is infinite.
TAPEGRAD_API Tensor div(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor div(const Tensor& a, double b);
TAPEGRAD_API Tensor div(double a, const Tensor& b);
/// -x: also i64.
TAPEGRAD_API Tensor neg(const Tensor& x);

/// x^y; NaN for a negative x and a y that is not whole. The gradient for y at x = 0 is 0 where y >= 0, as in
/// PyTorch.
TAPEGRAD_API Tensor pow(const Tensor& x, const Tensor& y);
TAPEGRAD_API Tensor pow(const Tensor& x, double y);
/// x^2: also i64.
TAPEGRAD_API Tensor square(const Tensor& x);
/// Square root, and its reciprocal. The gradient at 0 is infinite.
TAPEGRAD_API Tensor sqrt(const Tensor& x);
TAPEGRAD_API Tensor rsqrt(const Tensor& x);
/// e^x, e^x - 1, ln x, ln(1 + x).
TAPEGRAD_API Tensor exp(const Tensor& x);
TAPEGRAD_API Tensor expm1(const Tensor& x);
TAPEGRAD_API Tensor log(const Tensor& x);
TAPEGRAD_API Tensor log1p(const Tensor& x);
/// |x|: also i64. The gradient at 0 is 0.
TAPEGRAD_API Tensor abs(const Tensor& x);
/// -1, 0 or 1: also i64. Not differentiable: the result is a constant.
TAPEGRAD_API Tensor sign(const Tensor& x);
/// Angles in radians.
TAPEGRAD_API Tensor sin(const Tensor& x);
TAPEGRAD_API Tensor cos(const Tensor& x);
TAPEGRAD_API Tensor tan(const Tensor& x);
TAPEGRAD_API Tensor asin(const Tensor& x);
TAPEGRAD_API Tensor acos(const Tensor& x);
TAPEGRAD_API Tensor atan(const Tensor& x);
TAPEGRAD_API Tensor sinh(const Tensor& x);
TAPEGRAD_API Tensor cosh(const Tensor& x);
/// The error function 2/sqrt(pi) * integral of e^(-t^2) from 0 to x, and 1 - erf(x).
TAPEGRAD_API Tensor erf(const Tensor& x);
TAPEGRAD_API Tensor erfc(const Tensor& x);

/// The larger and the smaller of two: also i64. A NaN is passed on. Where both are equal each takes half of
/// the gradient, as in PyTorch.
TAPEGRAD_API Tensor maximum(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor maximum(const Tensor& a, double b);
TAPEGRAD_API Tensor minimum(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor minimum(const Tensor& a, double b);
/// x limited to [lo, hi]: also i64. The gradient is 1 within and on the bounds, 0 outside. Throws
/// ArgumentError for lo > hi.
TAPEGRAD_API Tensor clamp(const Tensor& x, double lo, double hi);
/// a where the condition is not zero, else b: also i64. The condition may have any dtype and has no gradient.
/// All three broadcast.
TAPEGRAD_API Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor where(const Tensor& condition, const Tensor& a, double b);
TAPEGRAD_API Tensor where(const Tensor& condition, double a, const Tensor& b);

/// Comparisons: one where true, else zero, in the dtype of the operands, also i64. Not differentiable: the
/// result is a constant.
TAPEGRAD_API Tensor equal(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor not_equal(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor less(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor less_equal(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor greater(const Tensor& a, const Tensor& b);
TAPEGRAD_API Tensor greater_equal(const Tensor& a, const Tensor& b);

/// The elements converted. Differentiable between f32 and f64; to i64 it truncates toward zero (throws
/// ArgumentError for a value that i64 cannot hold) and gives a constant.
TAPEGRAD_API Tensor cast(const Tensor& x, Dtype to);

/// A number as a scalar tensor of x's dtype. Throws DtypeError where x is i64 and the number is not whole.
TAPEGRAD_API Tensor scalar_like(const Tensor& x, double value);

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

inline Tensor operator==(const Tensor& a, const Tensor& b) { return equal(a, b); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return not_equal(a, b); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return less(a, b); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return less_equal(a, b); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return greater(a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return greater_equal(a, b); }
inline Tensor operator==(const Tensor& a, double b) { return equal(a, scalar_like(a, b)); }
inline Tensor operator!=(const Tensor& a, double b) { return not_equal(a, scalar_like(a, b)); }
inline Tensor operator<(const Tensor& a, double b) { return less(a, scalar_like(a, b)); }
inline Tensor operator<=(const Tensor& a, double b) { return less_equal(a, scalar_like(a, b)); }
inline Tensor operator>(const Tensor& a, double b) { return greater(a, scalar_like(a, b)); }
inline Tensor operator>=(const Tensor& a, double b) { return greater_equal(a, scalar_like(a, b)); }
inline Tensor operator==(double a, const Tensor& b) { return b == a; }
inline Tensor operator!=(double a, const Tensor& b) { return b != a; }
inline Tensor operator<(double a, const Tensor& b) { return b > a; }
inline Tensor operator<=(double a, const Tensor& b) { return b >= a; }
inline Tensor operator>(double a, const Tensor& b) { return b < a; }
inline Tensor operator>=(double a, const Tensor& b) { return b <= a; }

}  // namespace tapegrad
