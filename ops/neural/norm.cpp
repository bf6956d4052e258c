#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/kernels/normalize.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/neural/norm.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/scaling.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

/// With x_hat = (x - mean) inv_std and h = dL/dy gamma:  dL/dgamma = the sum over the batch of dL/dy x_hat,
/// dL/dbeta that of dL/dy,  dL/dx = inv_std (h - mean(h) - x_hat mean(h x_hat))
struct BatchNorm {
  static constexpr auto name = "batch_norm";
  static constexpr auto saves = saves_for(kIn0 | kIn1 | kResidual0, kIn0 | kResidual0, kNone);
  static constexpr bool composed = false;
  double eps = 1e-5;
  /// r[0]: the statistics, f64 [2, channels]. They change with x, so only the fused rule reads them.
  Tensor forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, Residuals<1>& r) const;
  static void vjp(VjpContext<BatchNorm>& ctx);
  static void vjp_fused(VjpContext<BatchNorm>& ctx);
  void describe(AttributeVisitor& v) const { v("eps", eps); }
  static void samples(Samples& s) {
    const auto add = [&](std::int64_t rows, std::int64_t features) {
      s.add(BatchNorm{}, {Shape{rows, features}, Shape{features}, Shape{features}});
    };
    add(3, 1);
    add(5, 3);
    add(4, 17);
    add(9, 2);
    add(523, 131);  // for several threads
    for (const Shape& x :
         {Shape{2, 3, 1}, Shape{3, 2, 5}, Shape{1, 2, 4, 9}, Shape{2, 1, 2, 3, 2}, Shape{5, 7, 33, 32}})
      s.add(BatchNorm{}, {x, Shape{x[1]}, Shape{x[1]}},
            x.size() > 30000 ? "images, for several threads" : "images");
    s.add(BatchNorm{},
          {SampleInput::of(
               Tensor::from({1e30, 3e30, -2e30, 1, -2, 4, 2e30, 5e30, -1e30, 2, 1, 3}, {2, 2, 3}, f64)),
           Shape{2}, Shape{2}},
          "a large channel");
    s.add(BatchNorm{0.5}, {Shape{2, 2}, Shape{2}, Shape{2}}, "large eps");
    s.add(BatchNorm{}, {SampleInput(Shape{6, 2}, {98, 102}), Shape{2}, Shape{2}}, "far from zero");
    s.add(BatchNorm{},
          {SampleInput::of(Tensor::from({{1e30, 1}, {3e30, -2}, {-2e30, 4}}, f64)), Shape{2}, Shape{2}},
          "a large feature");
    s.uncertain_from(1);
  }
};

}  // namespace op

using detail::ChannelShape;
using detail::ChannelStatistics;
using detail::Destination;
using detail::TensorAccess;

namespace {

ChannelShape shape_of(const Shape& x) {
  std::int64_t inner = 1;
  for (std::size_t i = 2; i < x.rank(); ++i) inner *= x[i];
  return {x[0], x[1], inner};
}

/// The axes that statistics are taken over.
Axes all_but_channels(const Tensor& x) {
  std::array<std::int64_t, Shape::kMaxRank> axes{};
  std::iota(axes.begin() + 1, axes.end(), std::int64_t{2});
  return Axes(std::span<const std::int64_t>(axes.data(), x.rank() - 1));
}

/// A batch and its statistics. Where a channel is so large or so small that its squares or its divisor leave the
/// range of the dtype, both are those of its elements times a power of two, which takes no digit from x_hat.
struct ScaledBatch {
  Tensor x;
  Tensor statistics;  ///< f64 [2, channels]: mean and variance
  double eps;
  Tensor scales{};  ///< [channels]; undefined where all are 1

  ScaledBatch(const Tensor& given, const Tensor& raw_statistics, double to_add)
      : x(given), statistics(raw_statistics), eps(to_add) {
    const std::int64_t channels = x.dim(1);
    const ChannelStatistics raw = view();
    const bool moderate = visit_floating(x.dtype(), [&]<class T> {
      bool all = true;
      for (std::int64_t j = 0; j < channels; ++j)
        all = all && detail::is_moderate(static_cast<T>(std::sqrt(raw.variance[j] + eps)));
      return all;
    });
    const op::Reduction over_elements{.axes = all_but_channels(x).mask(x.rank(), op::BatchNorm::name)};
    if (!moderate) scales = detail::scales_of(x, over_elements);
    if (!scales.defined()) return;
    x = detail::scaled(x, scales, over_elements);
    statistics = Tensor::empty(raw_statistics.shape(), f64);
    visit_floating(x.dtype(), [&]<class T> {
      double* const mean = TensorAccess::data_as<double>(statistics);
      detail::channel_statistics(shape_of(x.shape()), TensorAccess::data_as<T>(x), mean, mean + channels);
    });
  }

  ChannelStatistics view() const {
    const auto* mean = TensorAccess::data_as<double>(statistics);
    return {mean, mean + x.dim(1), eps};
  }
  /// What eps is for scaled elements: at least so much that it divides. [channels]
  Tensor scaled_eps() const {
    return changed_scales(
        [&](double s) { return std::max(eps * s * s, std::numeric_limits<double>::min()); });
  }
  /// Writes the statistics of the elements as they are.
  void unscale(const Tensor& to) const {
    auto* const out = TensorAccess::data_as<double>(to);
    const ChannelStatistics from = view();
    for (std::int64_t j = 0, n = x.dim(1); j < n; ++j) {
      const double s = detail::value_at(scales, j);
      out[j] = from.mean[j] / s;
      out[n + j] = from.variance[j] / s / s;
    }
  }
  /// eps becomes part of the variances.
  void add_eps() {
    const std::int64_t channels = x.dim(1);
    const Tensor each = scaled_eps();
    auto* const variance = TensorAccess::data_as<double>(statistics) + channels;
    for (std::int64_t j = 0; j < channels; ++j)
      variance[j] += each.values<double>()[static_cast<std::size_t>(j)];
    eps = 0;
  }

 private:
  template <class F>
  Tensor changed_scales(F&& f) const {
    Tensor result = Tensor::empty(scales.shape(), f64);
    for (std::int64_t j = 0; j < scales.size(); ++j)
      TensorAccess::data_as<double>(result)[j] = f(detail::value_at(scales, j));
    return result;
  }
};

void require_batch(const Tensor& x) {
  const auto op = [] { return op_label(op::BatchNorm::name); };
  detail::require_floating(op::BatchNorm::name, x);
  if (x.rank() < 2)
    throw ShapeError(fmt::format("{}: input {}; it must be [n, features], or [n, channels, ...] as of images",
                                 op(), to_string(x.shape())));
  if (shape_of(x.shape()).elements() == 0)
    throw ArgumentError(fmt::format("{}: input {} has no {}; their mean is not defined", op(),
                                    to_string(x.shape()), x.dim(0) == 0 ? "rows" : "elements in a channel"));
}

void require_of_each_channel(const char* what, const Tensor& t, const Tensor& x) {
  detail::require_same_dtype(op::BatchNorm::name, x, t, "input", what);
  if (t.shape() != Shape{x.dim(1)})
    throw ShapeError(fmt::format("{}: {} {} for input {}; it must be [{}]", op_label(op::BatchNorm::name),
                                 what, to_string(t.shape()), to_string(x.shape()), x.dim(1)));
}

}  // namespace

Tensor op::BatchNorm::forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                              Residuals<1>& r) const {
  require_batch(x);
  require_of_each_channel("gamma", gamma, x);
  require_of_each_channel("beta", beta, x);
  const ChannelShape shape = shape_of(x.shape());
  const Tensor statistics = Tensor::empty({2, shape.channels}, f64);
  auto* mean = TensorAccess::data_as<double>(statistics);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    detail::channel_statistics(shape, TensorAccess::data_as<T>(x), mean, mean + shape.channels);
    ScaledBatch batch(x, statistics, eps);
    if (batch.scales.defined()) {
      batch.unscale(statistics);
      batch.add_eps();
    }
    detail::normalize_channels(shape, TensorAccess::data_as<T>(batch.x), batch.view(),
                               TensorAccess::data_as<T>(gamma), TensorAccess::data_as<T>(beta),
                               TensorAccess::data_as<T>(y));
  });
  r[0] = statistics;
  return y;
}

void op::BatchNorm::vjp(VjpContext<BatchNorm>& ctx) {
  const Tensor& g = ctx.grad_output();
  const Axes axes = all_but_channels(g);
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, axes));
  if (!ctx.needs_grad(0) && !ctx.needs_grad(1)) return;
  Tensor x = ctx.input<0>();
  const auto beside = [rank = x.rank()](const Tensor& of_channels) {
    return detail::beside_planes(of_channels, rank);
  };
  const auto mean_of = [&](const Tensor& t) { return beside(mean(t, axes)); };
  const ScaledBatch batch(x.detach(), ctx.residual<0>(), ctx.op().eps);
  const Tensor& scales = batch.scales;  // change in leaps alone
  if (scales.defined()) x = x * beside(scales);
  const Tensor variance = var(x, axes);
  const Tensor inv_std =
      rsqrt(scales.defined() ? variance + cast(batch.scaled_eps(), x.dtype()) : variance + ctx.op().eps);
  const Tensor x_hat = (x - mean_of(x)) * beside(inv_std);
  const auto contribution = [&](const Tensor& r) { return detail::contribution_along(g, axes, r); };
  if (ctx.needs_grad(1)) ctx.add(1, contribution(sum(g * x_hat, axes)));
  if (!ctx.needs_grad(0)) return;
  const Tensor gamma = scales.defined() ? ctx.input<1>() * scales : ctx.input<1>();
  ctx.add(0, contribution(beside(gamma * inv_std) * (g - mean_of(g) - x_hat * mean_of(g * x_hat))));
}

namespace {

/// f(run, n) for the n elements of a channel that lie side by side in each item.
template <class T, class F>
void for_each_run(const ChannelShape& s, std::int64_t channel, T* values, const F& f) {
  for (std::int64_t i = 0; i < s.items; ++i) f(values + (i * s.channels + channel) * s.inner, s.inner);
}

/// The channels whose gradients are 0 throughout although their elements are not finite: they contribute nothing.
template <class T>
std::vector<std::int64_t> channels_without_gradient(const ChannelShape& shape, const T* g,
                                                    const double* dgamma) {
  std::vector<std::int64_t> found;
  for (std::int64_t j = 0; j < shape.channels; ++j) {
    if (std::isfinite(dgamma[j])) continue;
    bool all_zero = true;
    for_each_run(shape, j, g, [&](const T* run, std::int64_t n) {
      all_zero = all_zero && std::all_of(run, run + n, [](T v) { return v == T{0}; });
    });
    if (all_zero) found.push_back(j);
  }
  return found;
}

}  // namespace

void op::BatchNorm::vjp_fused(VjpContext<BatchNorm>& ctx) {
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const ChannelShape shape = shape_of(ctx.output_shape());
    const T* g = TensorAccess::data_as<T>(ctx.grad_output());
    const auto write = [&](std::size_t input, const double* values) {
      ctx.accumulate<T>(input, [&](Destination<T> to) {
        to.put(shape.channels, [values](std::int64_t j) { return static_cast<T>(values[j]); });
      });
    };
    if (!ctx.needs_grad(0) && !ctx.needs_grad(1))
      return ctx.add(2, sum(ctx.grad_output(), all_but_channels(ctx.grad_output())));

    ScaledBatch batch(ctx.input<0>(), ctx.residual<0>(), ctx.op().eps);
    if (batch.scales.defined()) batch.add_eps();
    const T* const x = TensorAccess::data_as<T>(batch.x);
    detail::Workspace<double> sums(2 * shape.channels);
    double* const dgamma = sums.data();
    double* const dbeta = dgamma + shape.channels;
    detail::normalize_sums(shape, g, x, batch.view(), dgamma, dbeta);
    const std::vector<std::int64_t> without = channels_without_gradient(shape, g, dgamma);
    for (const std::int64_t j : without) dgamma[j] = dbeta[j] = 0;
    if (ctx.needs_grad(0)) {
      // dx is that of the scaled elements, scaled once more.
      const Tensor gamma = batch.scales.defined() ? ctx.input<1>() * batch.scales : ctx.input<1>();
      const auto gradient = [&](Destination<T> to) {
        detail::normalize_gradient(shape, g, x, batch.view(), TensorAccess::data_as<T>(gamma), dgamma, dbeta,
                                   to);
      };
      ctx.accumulate<T>(0, [&](Destination<T> to) {
        if (without.empty()) return gradient(to);
        to.through(ctx.output_shape().size(), [&](T* dx) {
          gradient(Destination<T>{dx, false});
          for (const std::int64_t j : without)
            for_each_run(shape, j, dx, [](T* run, std::int64_t n) { std::fill_n(run, n, T{0}); });
        });
      });
    }
    if (ctx.needs_grad(1)) write(1, dgamma);
    if (ctx.needs_grad(2)) write(2, dbeta);
  });
}

Tensor detail::beside_planes(const Tensor& of_channels, std::size_t rank) {
  if (rank == 2) return of_channels;
  std::array<std::int64_t, Shape::kMaxRank> dims;
  dims.fill(1);
  dims[0] = of_channels.size();
  return reshape(of_channels, Shape(std::span<const std::int64_t>(dims.data(), rank - 1)));
}

BatchNormalized batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  if (!(eps > 0 && std::isfinite(eps)))
    throw ArgumentError(
        fmt::format("{}: eps is {}; it must be positive and finite", op_label(op::BatchNorm::name), eps));
  std::array<Tensor, 1> statistics;
  const Tensor y = apply_op(op::BatchNorm{eps}, statistics, x, gamma, beta);
  // Copies: the tape holds the statistics themselves, and what is returned is the caller's to change.
  const Shape of_each{x.dim(1)};
  return {y, TensorAccess::view(statistics[0], 0, of_each).copy(),
          TensorAccess::view(statistics[0], x.dim(1), of_each).copy()};
}

template const OpInfo& detail::info_of<op::BatchNorm>();

}  // namespace tapegrad
