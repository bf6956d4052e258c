#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math_ops.h>

#include <fmt/format.h>

namespace tapegrad {

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

Tensor add(const Tensor& a, const Tensor& b) { return apply_op(Add{}, a, b); }
Tensor add(const Tensor& a, double b) { return with_scalar(AddScalar{.c = b}, a); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply_op(Sub{}, a, b); }
Tensor sub(double a, const Tensor& b) { return with_scalar(ScalarSub{.c = a}, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply_op(Mul{}, a, b); }
Tensor mul(const Tensor& a, double b) { return with_scalar(MulScalar{.c = b}, a); }
Tensor div(const Tensor& a, const Tensor& b) { return apply_op(Div{}, a, b); }
Tensor div(const Tensor& a, double b) { return apply_op(DivScalar{.c = b}, a); }
Tensor div(double a, const Tensor& b) { return apply_op(ScalarDiv{.c = a}, b); }
Tensor neg(const Tensor& x) { return apply_op(Neg{}, x); }

Tensor pow(const Tensor& x, const Tensor& y) { return apply_op(Pow{}, x, y); }
Tensor pow(const Tensor& x, double y) { return apply_op(PowScalar{.c = y}, x); }
Tensor square(const Tensor& x) { return apply_op(Square{}, x); }
Tensor sqrt(const Tensor& x) { return apply_op(Sqrt{}, x); }
Tensor rsqrt(const Tensor& x) { return apply_op(Rsqrt{}, x); }
Tensor exp(const Tensor& x) { return apply_op(Exp{}, x); }
Tensor expm1(const Tensor& x) { return apply_op(Expm1{}, x); }
Tensor log(const Tensor& x) { return apply_op(Log{}, x); }
Tensor log1p(const Tensor& x) { return apply_op(Log1p{}, x); }
Tensor abs(const Tensor& x) { return apply_op(Abs{}, x); }
Tensor sign(const Tensor& x) { return apply_op(Sign{}, x); }
Tensor sin(const Tensor& x) { return apply_op(Sin{}, x); }
Tensor cos(const Tensor& x) { return apply_op(Cos{}, x); }
Tensor tan(const Tensor& x) { return apply_op(Tan{}, x); }
Tensor asin(const Tensor& x) { return apply_op(Asin{}, x); }
Tensor acos(const Tensor& x) { return apply_op(Acos{}, x); }
Tensor atan(const Tensor& x) { return apply_op(Atan{}, x); }
Tensor sinh(const Tensor& x) { return apply_op(Sinh{}, x); }
Tensor cosh(const Tensor& x) { return apply_op(Cosh{}, x); }
Tensor erf(const Tensor& x) { return apply_op(Erf{}, x); }
Tensor erfc(const Tensor& x) { return apply_op(Erfc{}, x); }

Tensor maximum(const Tensor& a, const Tensor& b) { return apply_op(Maximum{}, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return apply_op(Minimum{}, a, b); }
Tensor maximum(const Tensor& a, double b) { return maximum(a, scalar_like(a, b)); }
Tensor minimum(const Tensor& a, double b) { return minimum(a, scalar_like(a, b)); }

Tensor clamp(const Tensor& x, double lo, double hi) {
  if (!(lo <= hi)) throw ArgumentError(fmt::format("{}: lo {} is above hi {}", op_label("clamp"), lo, hi));
  require_whole(x, lo, "clamp");
  require_whole(x, hi, "clamp");
  return apply_op(Clamp{.lo = lo, .hi = hi}, x);
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Tensor c = condition.detach();
  // Compared before it is converted: a condition of 0.5 must not become 0 beside integers.
  return apply_op(Where{}, c.defined() && c.dtype() != a.dtype() ? cast(c != 0, a.dtype()) : c, a, b);
}
Tensor where(const Tensor& condition, const Tensor& a, double b) {
  return where(condition, a, scalar_like(a, b));
}
Tensor where(const Tensor& condition, double a, const Tensor& b) {
  return where(condition, scalar_like(b, a), b);
}

Tensor equal(const Tensor& a, const Tensor& b) { return apply_op(Equal{}, a, b); }
Tensor not_equal(const Tensor& a, const Tensor& b) { return apply_op(NotEqual{}, a, b); }
Tensor less(const Tensor& a, const Tensor& b) { return apply_op(Less{}, a, b); }
Tensor less_equal(const Tensor& a, const Tensor& b) { return apply_op(LessEqual{}, a, b); }
Tensor greater(const Tensor& a, const Tensor& b) { return apply_op(Greater{}, a, b); }
Tensor greater_equal(const Tensor& a, const Tensor& b) { return apply_op(GreaterEqual{}, a, b); }

Tensor Cast::forward(const Tensor& x) const {
  if (x.dtype() == to) return x;
  Tensor y = Tensor::empty(x.shape(), to);
  visit_dtype(x.dtype(), [&]<class From> {
    const From* from = detail::TensorAccess::data_as<From>(x);
    visit_dtype(to, [&]<class To> {
      To* out = detail::TensorAccess::data_as<To>(y);
      for (std::int64_t i = 0; i < x.size(); ++i) {
        if constexpr (std::is_same_v<To, std::int64_t> && !std::is_same_v<From, To>) {
          if (!(std::abs(static_cast<double>(from[i])) < 9223372036854775808.0))
            throw ArgumentError(
                fmt::format("{}: {} at flat index {} does not fit i64", op_label(name), from[i], i));
        }
        out[i] = static_cast<To>(from[i]);
      }
    });
  });
  return y;
}

void Cast::vjp(VjpContext<Cast>& ctx) { ctx.add(0, cast(ctx.grad_output(), ctx.input_dtype(0))); }

Tensor cast(const Tensor& x, Dtype to) {
  return x.defined() && x.dtype() == to ? x : apply_op(Cast{.to = to}, x);
}

Tensor scalar_like(const Tensor& x, double value) {
  require_whole(x, value, "scalar");
  return Tensor::scalar(value, x.dtype());
}

namespace detail {
Tensor gradient_sum(const Tensor& a, const Tensor& b) { return add(a, b); }
}  // namespace detail

}  // namespace tapegrad
