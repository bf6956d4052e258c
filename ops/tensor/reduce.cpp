#include <bit>
#include <cmath>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/reduce.h>
#include <tapegrad/ops/tensor/reduce_ops.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::BroadcastLayout;
using detail::TensorAccess;

namespace {

// ---- shapes ----

bool has_axis(AxisMask axes, std::size_t i) { return axes >> i & 1u; }

Shape reduced_shape(const Shape& shape, AxisMask axes, bool keepdims) {
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  std::size_t rank = 0;
  for (std::size_t i = 0; i < shape.rank(); ++i)
    if (!has_axis(axes, i))
      dims[rank++] = shape[i];
    else if (keepdims)
      dims[rank++] = 1;
  return Shape(std::span<const std::int64_t>(dims.data(), rank));
}

/// How many elements one output is made of.
std::int64_t reduced_count(const Shape& shape, AxisMask axes) {
  std::int64_t count = 1;
  for (std::size_t i = 0; i < shape.rank(); ++i)
    if (has_axis(axes, i)) count *= shape[i];
  return count;
}

/// How the elements of x lie along the reduction's outputs. x must not be empty.
BroadcastLayout layout_of(const Shape& shape, AxisMask axes) {
  return BroadcastLayout(reduced_shape(shape, axes, true), shape);
}

void require_elements(const Tensor& x, AxisMask axes, const char* op) {
  if (reduced_count(x.shape(), axes) == 0)
    throw ArgumentError(fmt::format(
        "{}: an input of shape {} has no elements along the axes to reduce; the result is not defined",
        op_label(op), to_string(x.shape())));
}

void require_floating(const Tensor& x, const char* op) {
  if (!is_floating(x.dtype()))
    throw DtypeError(fmt::format(
        "{}: an input of i64; this operation takes f32 and f64, cast the input first", op_label(op)));
}

// ---- values ----

template <template <class> class Fold, class T>
void fold_into(Tensor& y, const Tensor& x, AxisMask axes, const Tensor* parameter = nullptr) {
  T* out = TensorAccess::data_as<T>(y);
  if (x.size() == 0) {
    std::fill_n(out, y.size(), Fold<T>::kIdentity);
    return;
  }
  detail::reduce<Fold>(layout_of(x.shape(), axes), TensorAccess::data_as<T>(x),
                       parameter ? TensorAccess::data_as<T>(*parameter) : nullptr, out);
}

template <template <class> class Fold>
Tensor fold(const Tensor& x, const Reduction& r) {
  Tensor y = Tensor::empty(reduced_shape(x.shape(), r.axes, r.keepdims), x.dtype());
  visit_dtype(x.dtype(), [&]<class T> { fold_into<Fold, T>(y, x, r.axes); });
  return y;
}

template <template <class> class Fold>
Tensor fold_floating(const Tensor& x, const Reduction& r, const Tensor* parameter = nullptr) {
  Tensor y = Tensor::empty(reduced_shape(x.shape(), r.axes, r.keepdims), x.dtype());
  visit_floating(x.dtype(), [&]<class T> { fold_into<Fold, T>(y, x, r.axes, parameter); });
  return y;
}

/// y[i] = f(y[i], i) in place, on a tensor that nobody else has seen.
template <class F>
Tensor changed(Tensor y, F&& f) {
  visit_floating(y.dtype(), [&]<class T> {
    T* v = TensorAccess::data_as<T>(y);
    for (std::int64_t i = 0; i < y.size(); ++i) v[i] = f(v[i], i);
  });
  return y;
}

Tensor mean_of(const Tensor& x, const Reduction& r) {
  const std::int64_t n = reduced_count(x.shape(), r.axes);
  return changed(fold_floating<detail::SumFold>(x, r),
                 [&]<class T>(T v, std::int64_t) { return v / static_cast<T>(n); });
}

Tensor variance_of(const Tensor& x, const Reduction& r, std::int64_t ddof) {
  const std::int64_t n = reduced_count(x.shape(), r.axes) - ddof;
  const Tensor mean = mean_of(x, r);
  return changed(fold_floating<detail::DeviationsFold>(x, r, &mean),
                 [&]<class T>(T v, std::int64_t) { return v / static_cast<T>(n); });
}

template <template <class> class Fold>
Tensor extreme_of(const Tensor& x, const Reduction& r, const char* op) {
  require_elements(x, r.axes, op);
  return fold<Fold>(x, r);
}

template <template <class> class Fold>
Tensor position_of(const Tensor& x, const Reduction& r, const char* op) {
  const Tensor extreme = extreme_of<Fold>(x, r, op);
  Tensor y = Tensor::empty(extreme.shape(), i64);
  if (x.size() == 0) return y;
  visit_dtype(x.dtype(), [&]<class T> {
    detail::find_first(layout_of(x.shape(), r.axes), TensorAccess::data_as<T>(x),
                       TensorAccess::data_as<T>(extreme), TensorAccess::data_as<std::int64_t>(y));
  });
  return y;
}

// ---- gradients ----

/// A tensor of the output's shape with the reduced axes back, so that it broadcasts against x.
template <class Op>
Tensor beside_input(const VjpContext<Op>& ctx, const Tensor& t) {
  return ctx.op().keepdims ? t : reshape(t, reduced_shape(ctx.input_shape(0), ctx.op().axes, true));
}

/// Writes the gradient of x: f(element, its output's place) of the given tensors' elements, first-order only.
template <class Op, class F>
void broadcast_grad(VjpContext<Op>& ctx, F&& f) {
  const Shape shape = ctx.input_shape(0);
  if (shape.size() == 0) return ctx.add(0, Tensor::zeros(shape, ctx.input_dtype(0)));
  ctx.accumulate(0, [&](Tensor& gx, bool add) {
    visit_floating(gx.dtype(), [&]<class T> {
      detail::broadcast_grad(layout_of(shape, ctx.op().axes), shape.size(), TensorAccess::data_as<T>(gx), add,
                             f.template operator()<T>());
    });
  });
}

/// The elements of a tensor for a loop that runs over `T`.
template <class T>
const T* elements(const Tensor& t) {
  return TensorAccess::data_as<T>(t);
}

/// g, the same for each element: of sum, and of mean where it is divided already.
template <class Op>
void broadcast_same(VjpContext<Op>& ctx, const Tensor& g) {
  broadcast_grad(
      ctx, [&]<class T> { return [g = elements<T>(g)](std::int64_t, std::int64_t o) { return g[o]; }; });
}

template <class Op>
void share_among_equals(VjpContext<Op>& ctx) {
  const Tensor x = ctx.template input<0>();
  const Tensor is_extreme = equal(x, beside_input(ctx, ctx.output()));
  const Tensor share =
      beside_input(ctx, ctx.grad_output()) / apply_op(Sum{{ctx.op().axes, true}}, is_extreme);
  ctx.add(0, is_extreme * share);
}

template <class Op>
void share_among_equals_fused(VjpContext<Op>& ctx) {
  const Tensor x = ctx.template input<0>();
  const Tensor y = ctx.output();
  const Tensor count = fold_floating<detail::EqualsFold>(x, ctx.op(), &y);
  const Tensor share = ctx.grad_output() / count;
  broadcast_grad(ctx, [&]<class T> {
    return [x = elements<T>(x), y = elements<T>(y), s = elements<T>(share)](std::int64_t i, std::int64_t o) {
      return static_cast<T>(x[i] == y[o]) * s[o];
    };
  });
}

/// scale * (x - mean), with a scale of the output's shape: of var and std.
template <class Op>
void deviation_rule(VjpContext<Op>& ctx, const Tensor& scale) {
  const Tensor x = ctx.template input<0>();
  const Tensor deviation = x - apply_op(Mean{{ctx.op().axes, true}}, x);
  ctx.add(0, beside_input(ctx, scale) * deviation);
}

template <class Op>
void deviation_rule_fused(VjpContext<Op>& ctx, const Tensor& scale) {
  const Tensor x = ctx.template input<0>();
  const Tensor mean = mean_of(x, ctx.op());
  broadcast_grad(ctx, [&]<class T> {
    return [x = elements<T>(x), mean = elements<T>(mean), s = elements<T>(scale)](
               std::int64_t i, std::int64_t o) { return s[o] * (x[i] - mean[o]); };
  });
}

/// gy / y, 0 where y is 0.
template <class Op>
Tensor ratio_or_zero(const VjpContext<Op>& ctx) {
  const Tensor y = ctx.output();
  const Tensor is_zero = y == 0;
  // The divisor is made 1 there, so that no infinity meets a zero in further derivatives.
  return where(is_zero, 0, ctx.grad_output()) / where(is_zero, 1, y);
}

void require_freedom(const Tensor& x, AxisMask axes, std::int64_t ddof, const char* op) {
  require_elements(x, axes, op);
  const std::int64_t n = reduced_count(x.shape(), axes);
  if (ddof < 0 || ddof >= n)
    throw ArgumentError(
        fmt::format("{}: ddof {} with {} elements behind each output of {}; it must be in [0, {}]",
                    op_label(op), ddof, n, to_string(x.shape()), n - 1));
}

template <class Op>
double freedom(const VjpContext<Op>& ctx) {
  return static_cast<double>(reduced_count(ctx.input_shape(0), ctx.op().axes) - ctx.op().ddof);
}

}  // namespace

// ---- sum, mean ----

Tensor Sum::forward(const Tensor& x) const { return fold<detail::SumFold>(x, *this); }
void Sum::vjp(VjpContext<Sum>& ctx) {
  ctx.add(0, broadcast_to(beside_input(ctx, ctx.grad_output()), ctx.input_shape(0)));
}
void Sum::vjp_fused(VjpContext<Sum>& ctx) { broadcast_same(ctx, ctx.grad_output()); }

Tensor Mean::forward(const Tensor& x) const {
  require_floating(x, name);
  require_elements(x, axes, name);
  return mean_of(x, *this);
}
void Mean::vjp(VjpContext<Mean>& ctx) {
  const auto n = static_cast<double>(reduced_count(ctx.input_shape(0), ctx.op().axes));
  ctx.add(0, broadcast_to(beside_input(ctx, ctx.grad_output() / n), ctx.input_shape(0)));
}
void Mean::vjp_fused(VjpContext<Mean>& ctx) {
  broadcast_same(ctx,
                 ctx.grad_output() / static_cast<double>(reduced_count(ctx.input_shape(0), ctx.op().axes)));
}

// ---- prod ----

Tensor Prod::forward(const Tensor& x) const { return fold<detail::ProductFold>(x, *this); }

// In general, a tree of products: halves times halves. Going down again, each half's gradient is the parent's
// times the other half: no division, so zeros do no harm, and every step is an op, so that the rule itself
// has derivatives.
void Prod::vjp(VjpContext<Prod>& ctx) {
  const AxisMask axes = ctx.op().axes;
  const Shape shape = ctx.input_shape(0);
  if (shape.size() == 0) return ctx.add(0, Tensor::zeros(shape, ctx.input_dtype(0)));
  // Rows of the elements to multiply: the reduced axes in front.
  std::vector<std::int64_t> order;
  std::vector<std::int64_t> back(shape.rank());
  for (const bool reduced : {true, false})
    for (std::size_t i = 0; i < shape.rank(); ++i)
      if (has_axis(axes, i) == reduced) {
        back[i] = static_cast<std::int64_t>(order.size());
        order.push_back(static_cast<std::int64_t>(i));
      }
  const Tensor front = permute(ctx.input<0>(), order);
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
  ctx.add(0, permute(reshape(slice(g, 0, 0, n), front.shape()), back));
}

// The product of the elements before and of those behind; the second walk is the first in a mirror.
void Prod::vjp_fused(VjpContext<Prod>& ctx) {
  const Tensor x = ctx.input<0>();
  Tensor gx = Tensor::empty(x.shape(), x.dtype());
  Tensor before = ctx.grad_output().copy();
  Tensor behind = Tensor::ones(before.shape(), x.dtype());
  const std::int64_t n = x.size();
  if (n > 0)
    visit_floating(x.dtype(), [&]<class T> {
      const BroadcastLayout layout = layout_of(x.shape(), ctx.op().axes);
      const T* v = elements<T>(x);
      T* g = TensorAccess::data_as<T>(gx);
      T* b = TensorAccess::data_as<T>(before);
      std::int64_t i = 0;
      layout.walk(0, n, [&](std::int64_t o, std::int64_t run, std::int64_t step) {
        for (const std::int64_t end = i + run; i < end; ++i, o += step) {
          g[i] = b[o];
          b[o] *= v[i];
        }
      });
      b = TensorAccess::data_as<T>(behind);
      const std::int64_t last = behind.size() - 1;
      layout.walk(0, n, [&](std::int64_t o, std::int64_t run, std::int64_t step) {
        for (const std::int64_t end = i - run; i > end; o += step) {
          --i;
          g[i] *= b[last - o];
          b[last - o] *= v[i];
        }
      });
    });
  ctx.add(0, gx);
}

// ---- max, min ----

Tensor Max::forward(const Tensor& x) const { return extreme_of<detail::MaximumFold>(x, *this, name); }
void Max::vjp(VjpContext<Max>& ctx) { share_among_equals(ctx); }
void Max::vjp_fused(VjpContext<Max>& ctx) { share_among_equals_fused(ctx); }

Tensor Min::forward(const Tensor& x) const { return extreme_of<detail::MinimumFold>(x, *this, name); }
void Min::vjp(VjpContext<Min>& ctx) { share_among_equals(ctx); }
void Min::vjp_fused(VjpContext<Min>& ctx) { share_among_equals_fused(ctx); }

Tensor Max::branches(std::span<const Tensor* const> in) const {
  return equal(*in[0], Max{{.axes = axes, .keepdims = true}}.forward(*in[0]));
}
Tensor Min::branches(std::span<const Tensor* const> in) const {
  return equal(*in[0], Min{{.axes = axes, .keepdims = true}}.forward(*in[0]));
}

Tensor ArgMax::forward(const Tensor& x) const { return position_of<detail::MaximumFold>(x, *this, name); }
Tensor ArgMin::forward(const Tensor& x) const { return position_of<detail::MinimumFold>(x, *this, name); }

// ---- var, std, norm ----

Tensor Var::forward(const Tensor& x) const {
  require_floating(x, name);
  require_freedom(x, axes, ddof, name);
  return variance_of(x, *this, ddof);
}
void Var::vjp(VjpContext<Var>& ctx) { deviation_rule(ctx, ctx.grad_output() * (2 / freedom(ctx))); }
void Var::vjp_fused(VjpContext<Var>& ctx) {
  deviation_rule_fused(ctx, ctx.grad_output() * (2 / freedom(ctx)));
}

Tensor Std::forward(const Tensor& x) const {
  require_floating(x, name);
  require_freedom(x, axes, ddof, name);
  return changed(variance_of(x, *this, ddof), [](auto v, std::int64_t) { return std::sqrt(v); });
}
void Std::vjp(VjpContext<Std>& ctx) { deviation_rule(ctx, ratio_or_zero(ctx) / freedom(ctx)); }
void Std::vjp_fused(VjpContext<Std>& ctx) { deviation_rule_fused(ctx, ratio_or_zero(ctx) / freedom(ctx)); }

Tensor Norm::forward(const Tensor& x) const {
  require_floating(x, name);
  return changed(fold_floating<detail::SquaresFold>(x, *this),
                 [](auto v, std::int64_t) { return std::sqrt(v); });
}
void Norm::vjp(VjpContext<Norm>& ctx) { ctx.add(0, ctx.input<0>() * beside_input(ctx, ratio_or_zero(ctx))); }

// ---- logsumexp ----

Tensor LogSumExp::forward(const Tensor& x) const {
  require_floating(x, name);
  // An infinite maximum is not subtracted: infinity minus infinity is not a number.
  const Tensor largest = changed(fold_floating<detail::MaximumFold>(x, *this),
                                 [](auto v, std::int64_t) { return std::isinf(v) ? decltype(v){0} : v; });
  return changed(
      fold_floating<detail::ExponentialsFold>(x, *this, &largest),
      [&]<class T>(T v, std::int64_t i) { return std::log(v) + TensorAccess::data_as<T>(largest)[i]; });
}
namespace {
// Where all elements are -infinity so is y, and e^(x - y) would not be a number.
Tensor finite_from_below(const Tensor& y) { return where(y == -HUGE_VAL, 0, y); }
}  // namespace
void LogSumExp::vjp(VjpContext<LogSumExp>& ctx) {
  ctx.add(0, beside_input(ctx, ctx.grad_output()) *
                 exp(ctx.input<0>() - beside_input(ctx, finite_from_below(ctx.output()))));
}
void LogSumExp::vjp_fused(VjpContext<LogSumExp>& ctx) {
  const Tensor x = ctx.input<0>();
  const Tensor y = finite_from_below(ctx.output());
  broadcast_grad(ctx, [&]<class T> {
    return [x = elements<T>(x), y = elements<T>(y), g = elements<T>(ctx.grad_output())](
               std::int64_t i, std::int64_t o) { return g[o] * exp(detail::Real<T>{x[i] - y[o]}).v; };
  });
}

// ---- what users call ----

namespace {
template <class Op, class... More>
Tensor reduce(const Tensor& x, const Axes& axes, KeepDims keep, More... more) {
  return apply_op(Op{{detail::axes_of(x, axes, Op::name), keep == KeepDims::yes}, more...}, x);
}
}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<Sum>(x, axes, keep); }
Tensor prod(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<Prod>(x, axes, keep); }
Tensor mean(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<Mean>(x, axes, keep); }
Tensor max(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<Max>(x, axes, keep); }
Tensor min(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<Min>(x, axes, keep); }
Tensor argmax(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<ArgMax>(x, axes, keep); }
Tensor argmin(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<ArgMin>(x, axes, keep); }
Tensor var(const Tensor& x, const Axes& axes, KeepDims keep, std::int64_t ddof) {
  return reduce<Var>(x, axes, keep, ddof);
}
Tensor std(const Tensor& x, const Axes& axes, KeepDims keep, std::int64_t ddof) {
  return reduce<Std>(x, axes, keep, ddof);
}
Tensor logsumexp(const Tensor& x, const Axes& axes, KeepDims keep) {
  return reduce<LogSumExp>(x, axes, keep);
}
Tensor norm(const Tensor& x, const Axes& axes, KeepDims keep) { return reduce<Norm>(x, axes, keep); }

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
  const Tensor y = apply_op(Sum{{axes, true}}, x);
  return added ? reshape(y, shape) : y;
}

}  // namespace detail

}  // namespace tapegrad
