#include <algorithm>
#include <cmath>
#include <limits>

#include <tapegrad/ops/elementwise/special_ops.h>
#include <tapegrad/ops/tensor/reduction.h>

namespace tapegrad {

using namespace detail;

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
struct ScaledInput {
  Tensor size;   // |x| / largest
  Tensor scale;  // largest; 1 where that is 0 or infinite
  Tensor norm;   // of `size`, the axes kept

  ScaledInput(const Tensor& x, AxisMask axes, double p) {
    const Tensor largest = reduce_floating<MaximumReducer>(abs(x.detach()), {axes, true});
    scale = where(largest == 0, 1, where(isfinite(largest), largest, 1));
    size = abs(x) / scale;
    norm = pow(sum_over(pow(size, p), axes), 1 / p);
  }
};

}  // namespace

Tensor op::VectorNorm::forward(const Tensor& x) const {
  require_floating(name, x);
  const ScaledInput s(x, axes, p);
  const Tensor y = s.norm * s.scale;
  return keepdims ? y : reshape(y, reduced_shape(x.shape(), axes, false));
}

namespace {

/// For each output the power of two that takes the largest and the smallest of its elements equally far from 1, so that
/// powers of both are in range, as far as the norm, up to n^(1/p) times the largest, is in range then.
Tensor centring_scales(const Tensor& x, AxisMask axes, double p) {
  const Tensor size = abs(x);
  const auto largest_of = [&](const Tensor& t) { return reduce_floating<MaximumReducer>(t, {axes, true}); };
  const Tensor largest = largest_of(size);
  const Tensor smallest = largest_of(-where(size == 0, largest, size));  // its negative
  return changed(largest.copy(), [&]<class T>(T most, std::int64_t o) {
    const T least = -elements<T>(smallest)[o];
    if (!(least > T{0} && std::isfinite(most))) return T{1};
    constexpr int kLargest = std::numeric_limits<T>::max_exponent;
    constexpr int kMost = kLargest / 4 * 3;
    constexpr int kRoomForCount = 24;  // of n^(1/p), for n up to 2^24
    const int of_largest = p >= 1 ? kLargest - kRoomForCount : kMost;
    const int centring = -(std::ilogb(most) + std::ilogb(least)) / 2;
    return std::ldexp(T{1}, std::clamp(centring, -kMost, std::min(kMost, of_largest - std::ilogb(most))));
  });
}

}  // namespace

void op::VectorNorm::vjp(VjpContext<VectorNorm>& ctx) {
  const double p = ctx.op().p;
  // The slope is that of scaled elements; of the scales, which are constants, it does not depend.
  const Tensor x = ctx.input<0>() * centring_scales(ctx.input<0>().detach(), ctx.op().axes, p);
  const Tensor norm = apply_op(VectorNorm{{ctx.op().axes, true}, p}, x);
  // Where the norm has no second derivative: at an element that is 0 for p below 2, and where all are 0.
  const Tensor cusp = p < 2 ? x == 0 : broadcast_to(norm.detach() == 0, x.shape());
  const Tensor size = where(cusp, 1, abs(x));
  const Tensor y = where(norm == 0, 1, norm);
  // Below p = 2 a ratio may be out of range whose power is in it. No exponent here or in the derivative is beyond -1
  // and 1 but that of an element, whose derivatives may be infinite.
  const auto power = [&] {
    if (p >= 2) return pow(size / y, p - 1);
    return p > 1 ? pow(size, p - 1) / pow(y, p - 1) : pow(size, p - 1) * pow(y, 1 - p);
  };
  const Tensor slope = where(cusp, zero_without_slope(x, cusp), sign(x) * power());
  const Tensor g = beside_input(ctx, ctx.grad_output());
  if (!ctx.recording()) return ctx.add(0, contribution(broadcast_to(g, x.shape()), g * slope));
  ctx.add(0,
          undefined_at(broadcast_to(norm.detach() == 0, x.shape()), broadcast_to(g, x.shape()), g * slope));
}

Tensor vector_norm(const Tensor& x, double p, const Axes& axes, KeepDims keep) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const char* name = op::VectorNorm::name;
  require_floating(name, x);
  if (!(p >= 0 || p == -kInfinity))
    throw ArgumentError(fmt::format("{}: p {} is neither positive, nor 0, nor infinite", op_label(name), p));
  return named(name, [&] {
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
