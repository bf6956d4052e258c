#include <cmath>
#include <limits>

#include <tapegrad/ops/elementwise/special_ops.h>
#include <tapegrad/ops/tensor/reduction.h>

namespace tapegrad {

using namespace reduction;

namespace op {

/// y = (sum |x|^p)^(1/p), dy/dx = sign(x) (|x| / y)^(p - 1), for a positive and finite p.
struct VectorNorm : Reduction {
  static constexpr auto name = "vector_norm";
  static constexpr auto saves = saves_for(kIn0);
  double p = 2;
  void describe(AttributeVisitor& v) const { Reduction::describe(v), v("p", p); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<VectorNorm>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, VectorNorm{{}, 3}, [](const Shape& x) { return SampleInput(x, {-2, 2, {0}}); });
    reduction_samples(s, VectorNorm{{}, 1.5}, [](const Shape& x) { return SampleInput(x, {0.2, 2}); });
    s.add(VectorNorm{{0b1, false}, 0.5}, {SampleInput(Shape{5}, {-2, -0.3})});
    s.convention(VectorNorm{{0b1, false}, 3}, {{0, 0, 0}}, {{0, 0, 0}});
    s.convention(VectorNorm{{0b1, false}, 1.5}, {{0, 2, 0}}, {{0, 1, 0}});
    s.convention(VectorNorm{{0b1, false}, 0.5}, {{0, 2, 0}}, {{0, 1, 0}});
  }
};

}  // namespace op

namespace {

/// What the sum is made of: |x| over the largest of its elements, so that no power overflows, and none of the largest
/// underflows. The norm does not depend on the number that is divided by and multiplied with, so that it is a constant
/// of derivatives.
struct Scaled {
  Tensor size;   // |x| / largest
  Tensor scale;  // largest; 1 where that is 0 or infinite
  Tensor norm;   // of `size`, the axes kept

  Scaled(const Tensor& x, AxisMask axes, double p) {
    const Tensor largest = reduce_floating<detail::MaximumReducer>(abs(x.detach()), {axes, true});
    scale = where(largest == 0, 1, where(isfinite(largest), largest, 1));
    size = abs(x) / scale;
    norm = pow(sum_over(pow(size, p), axes), 1 / p);
  }
};

}  // namespace

Tensor op::VectorNorm::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  const Scaled s(x, axes, p);
  const Tensor y = s.norm * s.scale;
  return keepdims ? y : reshape(y, reduced_shape(x.shape(), axes, false));
}

void op::VectorNorm::vjp(VjpContext<VectorNorm>& ctx) {
  const Tensor x = ctx.input<0>();
  const double p = ctx.op().p;
  const Scaled s(x, ctx.op().axes, p);
  // Where the norm has no second derivative: at an element that is 0 for p below 2, and where all are 0.
  const Tensor cusp = p < 2 ? x == 0 : broadcast_to(s.norm.detach() == 0, x.shape());
  const Tensor ratio = where(cusp, 1, s.size / where(s.norm == 0, 1, s.norm));
  const Tensor slope = where(cusp, zero_without_slope(x, cusp), sign(x) * pow(ratio, p - 1));
  ctx.add(0, beside_input(ctx, ctx.grad_output()) * slope);
}

Tensor vector_norm(const Tensor& x, double p, const Axes& axes, KeepDims keep) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const char* name = op::VectorNorm::name;
  detail::require_floating(name, x);
  if (!(p >= 0 || p == -kInfinity))
    throw ArgumentError(fmt::format("{}: p {} is neither positive, nor 0, nor infinite", op_label(name), p));
  return detail::named(name, [&] {
    if (p == kInfinity) return max(abs(x), axes, keep);
    if (p == -kInfinity) return min(abs(x), axes, keep);
    if (p == 0) return sum(x != 0, axes, keep);
    if (p == 1) return sum(abs(x), axes, keep);
    if (p == 2) return norm(x, axes, keep);
    return apply_along<op::VectorNorm>(x, axes, keep, p);
  });
}

template const OpInfo& detail::info_of<op::VectorNorm>();

}  // namespace tapegrad
