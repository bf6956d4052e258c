#include <cmath>

#include <tapegrad/ops/tensor/scaling.h>

namespace tapegrad {

using namespace detail;

namespace op {

struct Var : Reduction {  // dy/dx = 2 (x - mean) / (n - ddof)
  static constexpr auto name = "var";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  std::int64_t ddof = 0;
  void describe(AttributeVisitor& v) const { Reduction::describe(v), v("ddof", ddof); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Var>& ctx);
  static void vjp_fused(VjpContext<Var>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, Var{}, [](const Shape& x) { return SampleInput(x); });
    reduction_samples(s, Var{{}, 1}, [](const Shape& x) { return SampleInput(x); });
    s.add(Var{{0b1, false}}, {SampleInput::of(Tensor::from({1e6 - 1, 1e6 + 2, 1e6}, f64))}, "far from zero");
    s.uncertain_from(1);
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
    s.add(Std{{0b10, false}},
          {SampleInput::of(Tensor::from({{3e30, -1e30, 2e30}, {1e6 - 1, 1e6 + 2, 1e6}}, f64))},
          "large, and far from zero");
    s.uncertain_from(1);
    s.convention(Std{{0b1, false}}, {{0.1, 0.1, 0.1}}, {{0, 0, 0}});
  }
};

}  // namespace op

namespace {

/// How much larger than the deviation a mean may be before what it has lost by rounding shows: in the deviation,
/// where it enters squared, and in gradients, which it enters as it is.
template <class T>
struct Far {
  static constexpr T kValues = sizeof(T) == sizeof(float) ? T{181} : T{4194304};  // 1 / (16 sqrt(epsilon))
  static constexpr T kGradients = 4;
};

struct Moments {
  Tensor mean;
  Tensor variance;
};

/// Where a mean is far from zero beside its deviation, by `limit`.
template <class T>
bool is_far(T mean, T variance, T limit) {
  const T size = mean < T{0} ? -mean : mean;
  return size > limit * std::sqrt(variance);
}
template <class Limit>
bool any_far(const Moments& m, Limit limit) {
  return visit_floating(m.mean.dtype(), [&]<class T> {
    const T *mean = elements<T>(m.mean), *variance = elements<T>(m.variance);
    int any = 0;
    dispatch_isa([&] {
      for (std::int64_t o = 0; o < m.mean.size(); ++o)
        any |= static_cast<int>(is_far(mean[o], variance[o], limit(Far<T>{})));
    });
    return any != 0;
  });
}

/// The mean, to which the mean of the distances from it is added where it is far from zero: so that of equal
/// elements is each of them.
template <class Limit>
void correct_mean(const Tensor& x, const op::Reduction& r, Moments& m, Limit limit) {
  const auto n = static_cast<double>(reduced_count(x.shape(), r.axes));
  const Tensor rest = reduce_floating<DifferencesReducer>(x, r, &m.mean);
  m.mean = changed(m.mean, [&]<class T>(T mean, std::int64_t o) {
    const bool far = is_far(mean, elements<T>(m.variance)[o], limit(Far<T>{}));
    return far ? mean + elements<T>(rest)[o] / static_cast<T>(n) : mean;
  });
}

constexpr auto kForValues = []<class T>(Far<T>) { return Far<T>::kValues; };
constexpr auto kForGradients = []<class T>(Far<T>) { return Far<T>::kGradients; };

Tensor variance_about(const Tensor& mean, const Tensor& x, const op::Reduction& r, std::int64_t ddof) {
  const std::int64_t n = reduced_count(x.shape(), r.axes) - ddof;
  return changed(reduce_floating<DeviationsReducer>(x, r, &mean),
                 [&]<class T>(T v, std::int64_t) { return v / static_cast<T>(n); });
}

Tensor variance_as_it_stands(const Tensor& x, const op::Reduction& r, std::int64_t ddof) {
  Moments m{mean_of(x, r), {}};
  m.variance = variance_about(m.mean, x, r, ddof);
  if (!any_far(m, kForValues)) return m.variance;
  correct_mean(x, r, m, kForValues);
  return variance_about(m.mean, x, r, ddof);
}

/// finish(variance, scale), where the variance is that of elements times the scale.
template <class F>
Tensor variance_of_any_size(const Tensor& x, const op::Reduction& r, std::int64_t ddof, const F& finish) {
  Tensor variance = variance_as_it_stands(x, r, ddof);
  const Tensor scales = all_in_range(variance) ? Tensor{} : scales_of(x, r);
  if (scales.defined()) variance = variance_as_it_stands(scaled(x, scales, r), r, ddof);
  return changed(variance, [&]<class T>(T v, std::int64_t o) {
    return finish(v, scales.defined() ? elements<T>(scales)[o] : T{1});
  });
}

/// x - mean, recorded. Far from zero a mean as a number of the dtype is not near enough: what is left is taken off,
/// too.
Tensor deviations(const Tensor& x, const op::Reduction& r, const Tensor& variance) {
  Tensor mean = mean_over(x, r.axes);
  if (!any_far({mean, variance}, kForGradients)) return x - mean;
  mean = mean + mean_over(x - mean, r.axes);
  const Tensor d = x - mean;
  return d - mean_over(d, r.axes);
}

/// What deviations are taken from, not recorded: the mean, and where it is far from zero what it lacks as a number of the
/// dtype; that is 0 where elements are equal.
struct Centre {
  Tensor mean;
  Tensor rest;
};
Centre centre_of(const Tensor& x, const op::Reduction& r, const Tensor& variance) {
  Moments m{mean_of(x, r), variance};
  if (!any_far(m, kForGradients)) return {m.mean, {}};
  const Tensor first = m.mean.copy();
  correct_mean(x, r, m, kForGradients);
  const auto n = static_cast<double>(reduced_count(x.shape(), r.axes));
  Tensor rest =
      changed(reduce_floating<DifferencesReducer>(x, r, &m.mean), [&]<class T>(T sum, std::int64_t o) {
        const bool far = is_far(elements<T>(first)[o], elements<T>(variance)[o], T{Far<T>::kGradients});
        return far ? sum / static_cast<T>(n) : T{0};
      });
  return {m.mean, rest};
}

/// s (x - mean), with a factor s for each output.
auto deviations_times(const Tensor& x, const Tensor& mean, const Tensor& factor) {
  return [&]<class T> {
    return [x = elements<T>(x), mean = elements<T>(mean), s = elements<T>(factor)](
               std::int64_t i, std::int64_t o) { return s[o] * (x[i] - mean[o]); };
  };
}
/// The same, less the rest.
auto deviations_times(const Tensor& x, const Centre& centre, const Tensor& factor) {
  return [&]<class T> {
    return [x = elements<T>(x), mean = elements<T>(centre.mean), rest = elements<T>(centre.rest),
            s = elements<T>(factor)](std::int64_t i, std::int64_t o) {
      return s[o] * ((x[i] - mean[o]) - rest[o]);
    };
  };
}

template <class Op>
void deviation_rule_fused(VjpContext<Op>& ctx, const Tensor& x, const Tensor& variance,
                          const Tensor& factor) {
  const Centre centre = centre_of(x, ctx.op(), variance);
  if (!centre.rest.defined()) return broadcast_grad(ctx, deviations_times(x, centre.mean, factor));
  broadcast_grad(ctx, deviations_times(x, centre, factor));
}

Tensor squared(const Tensor& y) {
  return changed(y.detach().copy(), [](auto v, std::int64_t) { return v * v; });
}

void require_freedom(const Tensor& x, AxisMask axes, std::int64_t ddof, const char* op) {
  require_elements(x.shape(), axes, op);
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
  require_floating(name, x);
  require_freedom(x, axes, ddof, name);
  return variance_of_any_size(x, *this, ddof, [](auto v, auto scale) { return v / scale / scale; });
}
void op::Var::vjp(VjpContext<Var>& ctx) {
  const Tensor d = deviations(ctx.input<0>(), ctx.op(), ctx.output());
  const Tensor g = beside_input(ctx, ctx.grad_output());
  ctx.add(0, contribution(g, g * (2 / freedom(ctx)) * d));
}
void op::Var::vjp_fused(VjpContext<Var>& ctx) {
  deviation_rule_fused(ctx, ctx.input<0>(), ctx.output(), ctx.grad_output() * (2 / freedom(ctx)));
}

Tensor op::Std::forward(const Tensor& x) const {
  require_floating(name, x);
  require_freedom(x, axes, ddof, name);
  return variance_of_any_size(x, *this, ddof, [](auto v, auto scale) { return std::sqrt(v) / scale; });
}
void op::Std::vjp(VjpContext<Std>& ctx) {
  const ScaledLength at(ctx);
  ctx.add(0, over_length(ctx, deviations(at.x, ctx.op(), squared(at.y)), at.y, freedom(ctx)));
}
void op::Std::vjp_fused(VjpContext<Std>& ctx) {
  const ScaledLength at(ctx);
  deviation_rule_fused(ctx, at.x, squared(at.y), ratio_or_zero(ctx, at.y, freedom(ctx)));
}

Tensor var(const Tensor& x, const Axes& axes, KeepDims keep, std::int64_t ddof) {
  return apply_along<op::Var>(x, axes, keep, ddof);
}
Tensor std(const Tensor& x, const Axes& axes, KeepDims keep, std::int64_t ddof) {
  return apply_along<op::Std>(x, axes, keep, ddof);
}

template const OpInfo& detail::info_of<op::Var>();
template const OpInfo& detail::info_of<op::Std>();

}  // namespace tapegrad
