#include <cmath>

#include <tapegrad/ops/tensor/scaling.h>

namespace tapegrad {

using namespace detail;

namespace op {

struct Norm : Reduction {  // dy/dx = x / y
  static constexpr auto name = "norm";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Norm>& ctx);
  static void vjp_fused(VjpContext<Norm>& ctx);
  static void samples(Samples& s) {
    s.add(Norm{}, {SampleInput(Shape{}, {0.5, 2})});
    s.uncertain_from(3);
    reduction_samples(s, Norm{}, [](const Shape& x) { return SampleInput(x); });
    s.add(Norm{{0b10, false}}, {SampleInput::of(Tensor::from({{3e30, -4e30}, {4e-30, 3e-30}}, f64))},
          "large and small");
    s.uncertain_from(1);
    s.convention(Norm{{0b1, false}}, {{0, 0, 0}}, {{0, 0, 0}});
  }
};

}  // namespace op

Tensor op::Norm::forward(const Tensor& x) const {
  require_floating(name, x);
  const auto length = [&](const Tensor& t) {
    return changed(reduce_floating<SquaresReducer>(t, *this),
                   [](auto v, std::int64_t) { return std::sqrt(v); });
  };
  const Tensor sums = reduce_floating<SquaresReducer>(x, *this);
  const Tensor scales = all_in_range(sums) || x.size() == 0 ? Tensor{} : scales_of(x, *this);
  if (scales.defined()) return unscaled(length(scaled(x, scales, *this)), scales);
  return changed(sums, [](auto v, std::int64_t) { return std::sqrt(v); });
}

namespace {

/// Where one element is longer than all others together, 1 minus its share of the square cancels, which a second
/// derivative is made of. There the elements are divided by that one, which is 1 then and depends on nothing: they have
/// the same direction, and what is left of the length are the others.
void divide_by_dominant(const VjpContext<op::Norm>& ctx, ScaledLength& at) {
  const Tensor x = at.x.detach();
  const Tensor dominant = square(x / beside_input(ctx, at.y.detach())) > 0.6;
  if (all_hold(dominant, [](auto v) { return v == 0; })) return;
  const AxisMask axes = ctx.op().axes;
  const Tensor length = where(sum_over(dominant, axes), abs(sum_over(where(dominant, at.x, 0), axes)), 1);
  at.x = where(dominant, sign(x), at.x / length);
  at.y = apply_op(ctx.op(), at.x);
}

}  // namespace

void op::Norm::vjp(VjpContext<Norm>& ctx) {
  ScaledLength at(ctx);
  if (ctx.recording()) divide_by_dominant(ctx, at);
  ctx.add(0, over_length(ctx, at.x, at.y, 1));
}
void op::Norm::vjp_fused(VjpContext<Norm>& ctx) {
  const ScaledLength at(ctx);
  const Tensor ratio = ratio_or_zero(ctx, at.y, 1);
  broadcast_grad(ctx, [&]<class T> {
    return [x = elements<T>(at.x), s = elements<T>(ratio)](std::int64_t i, std::int64_t o) {
      return s[o] * x[i];
    };
  });
}

Tensor norm(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Norm>(x, axes, keep); }

template const OpInfo& detail::info_of<op::Norm>();

}  // namespace tapegrad
