#pragma once

#include <limits>

#include <tapegrad/ops/tensor/reduction.h>

/// Means and lengths of numbers of any size. All are computed as they stand, and only where a sum or a square
/// has left the range of the dtype once more, of elements scaled by a power of two: that loses no digit, and
/// what is homogeneous is scaled back.
namespace tapegrad::detail {

/// Whether a number is 0, or its square, its inverse and products with other ordinary numbers keep all digits.
template <class T>
bool is_moderate(T v) {
  constexpr auto power_of_two = [](int exponent) {
    T p = 1;
    for (int i = 0; i < exponent; ++i) p *= 2;
    return p;
  };
  constexpr T kLarge = power_of_two(std::numeric_limits<T>::max_exponent / 4);
  const T size = v < T{0} ? -v : v;
  return (size >= 1 / kLarge && size <= kLarge) || size == T{0};
}

/// For each output the power of two that brings the largest of its elements near 1, and 1 where it is moderate
/// or not finite. Undefined where all are 1.
Tensor scales_of(const Tensor& x, const op::Reduction& r);

/// x, each element times the scale of its output.
Tensor scaled(const Tensor& x, const Tensor& scales, const op::Reduction& r);

/// y / scales in place.
Tensor unscaled(Tensor y, const Tensor& scales);

/// The mean over the axes, not recorded.
Tensor mean_of(const Tensor& x, const op::Reduction& r);

/// Whether sums of squares have all their digits, which they lose where squares are too large or too small.
bool all_in_range(const Tensor& sums);

/// The input and the output of a rule for a length, of scaled elements where the output is not moderate: they have the
/// same first derivatives.
struct ScaledLength {
  Tensor x;
  Tensor y;

  template <class Op>
  explicit ScaledLength(const VjpContext<Op>& ctx) : x(ctx.template input<0>()), y(ctx.output()) {
    if (all_hold(y, [](auto v) { return is_moderate(v) && v != 0; })) return;
    const Tensor scales = scales_of(x.detach(), ctx.op());
    if (!scales.defined()) return;
    x = ctx.recording() ? x * beside_input(ctx, scales) : scaled(x, scales, ctx.op());
    y = apply_op(ctx.op(), x);
  }
};

/// dL/dy d / (y n), recorded: the rule for a length y of d. Where y is 0 its first derivatives are 0 by convention; the
/// second do not exist there and are NaN, so that no smooth function of a length gets a plausible 0.
template <class Op>
Tensor over_length(const VjpContext<Op>& ctx, const Tensor& d, const Tensor& y, double n) {
  const Tensor& g = ctx.grad_output();
  const Tensor g_beside = beside_input(ctx, g);
  const auto times = [&](const Tensor& ratio) {
    return contribution(g_beside, d * beside_input(ctx, n == 1 ? ratio : ratio / n));
  };
  if (all_hold(y, [](auto v) { return v != 0; })) return times(g / y);
  const Tensor is_zero = y.detach() == 0;
  const Tensor zero = 0 * broadcast_to(g_beside + sum_over(d, ctx.op().axes), d.shape());
  const Tensor undefined = zero_without_slope(contribution(g_beside, zero));
  return where(beside_input(ctx, is_zero), undefined, times(where(is_zero, 0, g) / where(is_zero, 1, y)));
}

/// The same, not recorded: for each output the factor of d. A gradient that is not finite shows where y is 0.
template <class Op>
Tensor ratio_or_zero(const VjpContext<Op>& ctx, const Tensor& y, double n) {
  return changed(ctx.grad_output().copy(), [&]<class T>(T g, std::int64_t o) {
    const T length = elements<T>(y)[o];
    return length == T{0} ? T{0} * g : g / length / static_cast<T>(n);
  });
}

}  // namespace tapegrad::detail
