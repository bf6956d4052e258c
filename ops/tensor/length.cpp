#include <cmath>

#include <tapegrad/ops/tensor/scaling.h>

namespace tapegrad {

using namespace reduction;

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
  detail::require_floating(name, x);
  const auto length = [&](const Tensor& t) {
    return changed(reduce_floating<detail::SquaresReducer>(t, *this),
                   [](auto v, std::int64_t) { return std::sqrt(v); });
  };
  const Tensor sums = reduce_floating<detail::SquaresReducer>(x, *this);
  const Tensor scales = all_in_range(sums) || x.size() == 0 ? Tensor{} : scales_of(x, *this);
  if (scales.defined()) return unscaled(length(scaled(x, scales, *this)), scales);
  return changed(sums, [](auto v, std::int64_t) { return std::sqrt(v); });
}
void op::Norm::vjp(VjpContext<Norm>& ctx) {
  const ScaledLength at(ctx);
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
