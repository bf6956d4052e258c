#include <bit>
#include <vector>

#include <tapegrad/ops/tensor/scaling.h>

namespace tapegrad {

using namespace reduction;

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

/// dy/dx is the product of all others: computed as such, so that zeros do no harm.
struct Prod : Reduction {
  static constexpr auto name = "prod";
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Prod>& ctx);
  static void vjp_fused(VjpContext<Prod>& ctx);
  static void samples(Samples& s) {
    // Near 1, so that the product of a thousand stays a number of ordinary size.
    reduction_samples(s, Prod{}, [](const Shape& x) { return SampleInput(x, {0.95, 1.05}); });
    s.add(Prod{{0b1, false}}, {SampleInput::of(Tensor::from({2, 0, -3, 0.5}, f64))}, "one zero");
    s.add(Prod{{0b10, false}}, {SampleInput::of(Tensor::from({{2, 0, 3}, {0, 1, 0}}, f64))}, "two zeros");
  }
};

}  // namespace op

// ---- sum, mean ----

Tensor op::Sum::forward(const Tensor& x) const { return reduce_any<detail::SumReducer>(x, *this); }
void op::Sum::vjp(VjpContext<Sum>& ctx) {
  ctx.add(0, broadcast_to(beside_input(ctx, ctx.grad_output()), ctx.input_shape(0)));
}
void op::Sum::vjp_fused(VjpContext<Sum>& ctx) { broadcast_same(ctx, ctx.grad_output()); }

Tensor op::Mean::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  require_elements(x, axes, name);
  return mean_of(x, *this);
}
void op::Mean::vjp(VjpContext<Mean>& ctx) {
  const auto n = static_cast<double>(reduced_count(ctx.input_shape(0), ctx.op().axes));
  ctx.add(0, broadcast_to(beside_input(ctx, ctx.grad_output() / n), ctx.input_shape(0)));
}
void op::Mean::vjp_fused(VjpContext<Mean>& ctx) {
  broadcast_same(ctx,
                 ctx.grad_output() / static_cast<double>(reduced_count(ctx.input_shape(0), ctx.op().axes)));
}

// ---- prod ----

Tensor op::Prod::forward(const Tensor& x) const { return reduce_any<detail::ProductReducer>(x, *this); }

// In general, a tree of products: halves times halves. Going down again, each half's gradient is the parent's
// times the other half: no division, so zeros do no harm, and every step is an op, so that the rule itself
// has derivatives.
void op::Prod::vjp(VjpContext<Prod>& ctx) {
  const AxisMask axes = ctx.op().axes;
  const Shape shape = ctx.input_shape(0);
  if (shape.size() == 0) return ctx.add(0, Tensor::zeros(shape, ctx.input_dtype(0)));
  const ReducedInFront order(shape, axes);
  const Tensor front = permute(ctx.input<0>(), order.to_front);
  const std::int64_t n = reduced_count(shape, axes);
  const std::int64_t width = shape.size() / n;
  const auto leaves = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(n)));
  struct Halves {
    Tensor a, b;
  };
  std::vector<Halves> tree;
  Tensor rows = pad(reshape(front, Shape{n, width}), {{0, leaves - n}, {0, 0}}, 1);
  for (std::int64_t half = leaves / 2; half > 0; half /= 2) {
    tree.push_back({slice(rows, 0, 0, half), slice(rows, 0, half)});
    if (half > 1) rows = tree.back().a * tree.back().b;
  }
  Tensor g = reshape(ctx.grad_output(), Shape{1, width});
  for (auto level = tree.rbegin(); level != tree.rend(); ++level) g = concat({g * level->b, g * level->a}, 0);
  const Tensor r = permute(reshape(slice(g, 0, 0, n), front.shape()), order.back);
  const Tensor grad_output = beside_input(ctx, ctx.grad_output());
  if (detail::contributes_all(grad_output, r)) return ctx.add(0, r);
  ctx.add(0, detail::contribution(grad_output, r, sum_over(ctx.input<0>().detach(), axes)));
}

// The product of the elements before and of those behind; the second walk is the first in a mirror.
void op::Prod::vjp_fused(VjpContext<Prod>& ctx) {
  const Tensor x = ctx.input<0>();
  Tensor grad_input = Tensor::empty(x.shape(), x.dtype());
  Tensor before = ctx.grad_output().copy();
  Tensor behind = Tensor::ones(before.shape(), x.dtype());
  const std::int64_t n = x.size();
  if (n > 0)
    visit_floating(x.dtype(), [&]<class T> {
      const detail::ReductionNest nest = nest_of(x.shape(), ctx.op().axes);
      const std::int64_t step = nest.inner().stride[1];
      const T* v = elements<T>(x);
      T* g = detail::TensorAccess::data_as<T>(grad_input);
      T* b = detail::TensorAccess::data_as<T>(before);
      nest.for_each_run(0, n, [&](const detail::ReductionNest::Offsets& at, std::int64_t run) {
        for (std::int64_t j = 0; j < run; ++j) {
          const std::int64_t i = at[0] + j, o = at[1] + j * step;
          g[i] = b[o];
          b[o] *= v[i];
        }
      });
      b = detail::TensorAccess::data_as<T>(behind);
      const std::int64_t last = behind.size() - 1;
      nest.for_each_run(0, n, [&](const detail::ReductionNest::Offsets& at, std::int64_t run) {
        for (std::int64_t j = 0; j < run; ++j) {
          const std::int64_t i = n - 1 - (at[0] + j), o = last - (at[1] + j * step);
          g[i] *= b[o];
          b[o] *= v[i];
        }
      });
    });
  if (detail::all_finite(grad_input)) return ctx.add(0, grad_input);
  broadcast_grad(ctx, [&]<class T> {  // an element without a gradient times an infinite product of others
    return [p = elements<T>(grad_input)](std::int64_t i, std::int64_t) { return p[i]; };
  });
}

Tensor reduction::sum_over(const Tensor& x, AxisMask axes) { return apply_op(op::Sum{{axes, true}}, x); }
Tensor reduction::mean_over(const Tensor& x, AxisMask axes) { return apply_op(op::Mean{{axes, true}}, x); }

Tensor sum(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Sum>(x, axes, keep); }
Tensor prod(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Prod>(x, axes, keep); }
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
  const Tensor y = reduction::sum_over(x, axes);
  return added ? reshape(y, shape) : y;
}

}  // namespace detail

template const OpInfo& detail::info_of<op::Sum>();
template const OpInfo& detail::info_of<op::Mean>();
template const OpInfo& detail::info_of<op::Prod>();

}  // namespace tapegrad
