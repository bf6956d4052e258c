#include <cmath>

#include <tapegrad/ops/tensor/reduction.h>

namespace tapegrad {

using namespace reduction;

namespace op {

struct Var : Reduction {  // dy/dx = 2 (x - mean) / (n - ddof)
  static constexpr auto name = "var";
  static constexpr auto saves = saves_for(kIn0);
  static constexpr bool composed = false;
  std::int64_t ddof = 0;
  void describe(AttributeVisitor& v) const { Reduction::describe(v), v("ddof", ddof); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Var>& ctx);
  static void vjp_fused(VjpContext<Var>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, Var{}, [](const Shape& x) { return SampleInput(x); });
    reduction_samples(s, Var{{}, 1}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct Std : Reduction {  // dy/dx = (x - mean) / ((n - ddof) y)
  static constexpr auto name = "std";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  std::int64_t ddof = 0;
  void describe(AttributeVisitor& v) const { Reduction::describe(v), v("ddof", ddof); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Std>& ctx);
  static void vjp_fused(VjpContext<Std>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, Std{}, [](const Shape& x) { return SampleInput(x); });
    reduction_samples(s, Std{{}, 1}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct Norm : Reduction {  // dy/dx = x / y
  static constexpr auto name = "norm";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Norm>& ctx);
  static void samples(Samples& s) {
    s.add(Norm{}, {SampleInput(Shape{}, {0.5, 2})});
    s.uncertain_from(3);
    reduction_samples(s, Norm{}, [](const Shape& x) { return SampleInput(x); });
  }
};

struct LogSumExp : Reduction {  // dy/dx = e^(x - y)
  static constexpr auto name = "logsumexp";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<LogSumExp>& ctx);
  static void vjp_fused(VjpContext<LogSumExp>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, LogSumExp{}, [](const Shape& x) { return SampleInput(x); });
    s.add(LogSumExp{{0b1, false}}, {SampleInput::of(Tensor::from({1e4, 1e4 - 1, -1e4}, f64))}, "large");
    s.uncertain_from(3);
  }
};

}  // namespace op

namespace {

Tensor variance_of(const Tensor& x, const Reduction& r, std::int64_t ddof) {
  const std::int64_t n = reduced_count(x.shape(), r.axes) - ddof;
  const Tensor mean = mean_of(x, r);
  return changed(reduce_floating<detail::DeviationsReducer>(x, r, &mean),
                 [&]<class T>(T v, std::int64_t) { return v / static_cast<T>(n); });
}

/// scale * (x - mean), with a scale of the output's shape: of var and std.
template <class Op>
void deviation_rule(VjpContext<Op>& ctx, const Tensor& scale) {
  const Tensor x = ctx.template input<0>();
  const Tensor deviation = x - mean_over(x, ctx.op().axes);
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

/// dL/dy / y, 0 where y is 0.
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

Tensor op::Var::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  require_freedom(x, axes, ddof, name);
  return variance_of(x, *this, ddof);
}
void op::Var::vjp(VjpContext<Var>& ctx) { deviation_rule(ctx, ctx.grad_output() * (2 / freedom(ctx))); }
void op::Var::vjp_fused(VjpContext<Var>& ctx) {
  deviation_rule_fused(ctx, ctx.grad_output() * (2 / freedom(ctx)));
}

Tensor op::Std::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  require_freedom(x, axes, ddof, name);
  return changed(variance_of(x, *this, ddof), [](auto v, std::int64_t) { return std::sqrt(v); });
}
void op::Std::vjp(VjpContext<Std>& ctx) { deviation_rule(ctx, ratio_or_zero(ctx) / freedom(ctx)); }
void op::Std::vjp_fused(VjpContext<Std>& ctx) {
  deviation_rule_fused(ctx, ratio_or_zero(ctx) / freedom(ctx));
}

Tensor op::Norm::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  return changed(reduce_floating<detail::SquaresReducer>(x, *this),
                 [](auto v, std::int64_t) { return std::sqrt(v); });
}
void op::Norm::vjp(VjpContext<Norm>& ctx) {
  ctx.add(0, ctx.input<0>() * beside_input(ctx, ratio_or_zero(ctx)));
}

// ---- logsumexp ----

Tensor op::LogSumExp::forward(const Tensor& x) const {
  detail::require_floating(name, x);
  // An infinite maximum is not subtracted: infinity minus infinity is not a number.
  const Tensor largest = changed(reduce_floating<detail::MaximumReducer>(x, *this),
                                 [](auto v, std::int64_t) { return std::isinf(v) ? decltype(v){0} : v; });
  return changed(reduce_floating<detail::ExponentialsReducer>(x, *this, &largest),
                 [&]<class T>(T v, std::int64_t i) {
                   return std::log(v) + detail::TensorAccess::data_as<T>(largest)[i];
                 });
}
namespace {
// Where all elements are -infinity so is y, and e^(x - y) would not be a number.
Tensor finite_from_below(const Tensor& y) { return where(y == -HUGE_VAL, 0, y); }
}  // namespace
void op::LogSumExp::vjp(VjpContext<LogSumExp>& ctx) {
  ctx.add(0, beside_input(ctx, ctx.grad_output()) *
                 exp(ctx.input<0>() - beside_input(ctx, finite_from_below(ctx.output()))));
}
void op::LogSumExp::vjp_fused(VjpContext<LogSumExp>& ctx) {
  const Tensor x = ctx.input<0>();
  const Tensor y = finite_from_below(ctx.output());
  broadcast_grad(ctx, [&]<class T> {
    return [x = elements<T>(x), y = elements<T>(y), g = elements<T>(ctx.grad_output())](
               std::int64_t i, std::int64_t o) { return g[o] * exp(detail::Real<T>{x[i] - y[o]}).v; };
  });
}

Tensor var(const Tensor& x, const Axes& axes, KeepDims keep, std::int64_t ddof) {
  return apply_along<op::Var>(x, axes, keep, ddof);
}
Tensor std(const Tensor& x, const Axes& axes, KeepDims keep, std::int64_t ddof) {
  return apply_along<op::Std>(x, axes, keep, ddof);
}
Tensor norm(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Norm>(x, axes, keep); }
Tensor logsumexp(const Tensor& x, const Axes& axes, KeepDims keep) {
  return apply_along<op::LogSumExp>(x, axes, keep);
}

template const OpInfo& detail::info_of<op::Var>();
template const OpInfo& detail::info_of<op::Std>();
template const OpInfo& detail::info_of<op::Norm>();
template const OpInfo& detail::info_of<op::LogSumExp>();

}  // namespace tapegrad
