#include <tapegrad/ops/tensor/scaling.h>

namespace tapegrad {

using namespace detail;

namespace op {

struct Sum : Reduction {  // dy/dx = 1
  static constexpr auto name = "sum";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Sum>& ctx);
  static void vjp_fused(VjpContext<Sum>& ctx);
  static void samples(Samples& s) {
    s.add(Sum{}, {Shape{}});
    reduction_samples(s, Sum{}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct Mean : Reduction {  // dy/dx = 1 / n
  static constexpr auto name = "mean";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Mean>& ctx);
  static void vjp_fused(VjpContext<Mean>& ctx);
  static void samples(Samples& s) {
    s.add(Mean{}, {Shape{}});
    reduction_samples(s, Mean{}, [](const Shape& x) { return SampleInput(x); });
  }
};

}  // namespace op

// ---- sum, mean ----

Tensor op::Sum::forward(const Tensor& x) const { return reduce_any<SumReducer>(x, *this); }
void op::Sum::vjp(VjpContext<Sum>& ctx) {
  ctx.add(0, broadcast_to(beside_input(ctx, ctx.grad_output()), ctx.input_shape(0)));
}
void op::Sum::vjp_fused(VjpContext<Sum>& ctx) { broadcast_grad(ctx, same_for_each(ctx.grad_output())); }

Tensor op::Mean::forward(const Tensor& x) const {
  require_floating(name, x);
  require_elements(x.shape(), axes, name);
  return mean_of(x, *this);
}
void op::Mean::vjp(VjpContext<Mean>& ctx) {
  const auto n = static_cast<double>(reduced_count(ctx.input_shape(0), ctx.op().axes));
  ctx.add(0, broadcast_to(beside_input(ctx, ctx.grad_output() / n), ctx.input_shape(0)));
}
void op::Mean::vjp_fused(VjpContext<Mean>& ctx) {
  const auto n = static_cast<double>(reduced_count(ctx.input_shape(0), ctx.op().axes));
  broadcast_grad(ctx, same_for_each(ctx.grad_output() / n));
}

Tensor detail::sum_over(const Tensor& x, AxisMask axes) { return apply_op(op::Sum{{axes, true}}, x); }
Tensor detail::mean_over(const Tensor& x, AxisMask axes) { return apply_op(op::Mean{{axes, true}}, x); }

Tensor sum(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Sum>(x, axes, keep); }
Tensor mean(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Mean>(x, axes, keep); }

namespace detail {

Tensor sum_to_shape(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (!broadcasts_to(shape, x.shape()))
    throw ShapeError(
        fmt::format("sum_to_shape: {} does not broadcast to {}", to_string(shape), to_string(x.shape())));
  const std::size_t added = x.rank() - shape.rank();
  AxisMask axes = 0;
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (i < added || shape[i - added] != x.shape()[i]) axes = static_cast<AxisMask>(axes | 1u << i);
  const Tensor y = sum_over(x, axes);
  return added ? reshape(y, shape) : y;
}

}  // namespace detail

template const OpInfo& detail::info_of<op::Sum>();
template const OpInfo& detail::info_of<op::Mean>();

}  // namespace tapegrad
