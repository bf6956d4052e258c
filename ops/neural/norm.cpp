#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
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
  /// r[0]: the statistics, f64 [2, features]. They change with x, so only the fused rule reads them.
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
    s.add(BatchNorm{0.5}, {Shape{2, 2}, Shape{2}, Shape{2}}, "large eps");
    s.add(BatchNorm{}, {SampleInput(Shape{6, 2}, {98, 102}), Shape{2}, Shape{2}}, "far from zero");
    s.add(BatchNorm{},
          {SampleInput::of(Tensor::from({{1e30, 1}, {3e30, -2}, {-2e30, 4}}, f64)), Shape{2}, Shape{2}},
          "a large feature");
    s.uncertain_from(1);
  }
};

}  // namespace op

using detail::ColumnStatistics;
using detail::Destination;
using detail::TensorAccess;

namespace {

/// A batch and its statistics. Where a feature is so large or so small that its squares or its divisor leave the
/// range of the dtype, both are those of its elements times a power of two, which takes no digit from x_hat.
struct Columns {
  Tensor x;
  Tensor statistics;  ///< f64 [2, features]: mean and variance
  double eps;
  Tensor scales{};  ///< [features]; undefined where all are 1

  Columns(const Tensor& batch, const Tensor& raw_statistics, double to_add)
      : x(batch), statistics(raw_statistics), eps(to_add) {
    const std::int64_t features = x.dim(1);
    const ColumnStatistics raw = view();
    const bool moderate = visit_floating(x.dtype(), [&]<class T> {
      bool all = true;
      for (std::int64_t j = 0; j < features; ++j)
        all = all && detail::is_moderate(static_cast<T>(std::sqrt(raw.variance[j] + eps)));
      return all;
    });
    constexpr op::Reduction kOverRows{.axes = 0b01};
    if (!moderate) scales = detail::scales_of(x, kOverRows);
    if (!scales.defined()) return;
    x = detail::scaled(x, scales, kOverRows);
    statistics = Tensor::empty(raw_statistics.shape(), f64);
    visit_floating(x.dtype(), [&]<class T> {
      double* const mean = TensorAccess::data_as<double>(statistics);
      detail::column_statistics(x.dim(0), features, TensorAccess::data_as<T>(x), mean, mean + features);
    });
  }

  ColumnStatistics view() const {
    const auto* mean = TensorAccess::data_as<double>(statistics);
    return {mean, mean + x.dim(1), eps};
  }
  /// What eps is for scaled elements: at least so much that it divides. [features]
  Tensor scaled_eps() const {
    return changed_scales(
        [&](double s) { return std::max(eps * s * s, std::numeric_limits<double>::min()); });
  }
  /// Writes the statistics of the elements as they are.
  void unscale(const Tensor& to) const {
    auto* const out = TensorAccess::data_as<double>(to);
    const ColumnStatistics from = view();
    for (std::int64_t j = 0, n = x.dim(1); j < n; ++j) {
      const double s = detail::value_at(scales, j);
      out[j] = from.mean[j] / s;
      out[n + j] = from.variance[j] / s / s;
    }
  }
  /// eps becomes part of the variances.
  void add_eps() {
    const std::int64_t features = x.dim(1);
    const Tensor each = scaled_eps();
    auto* const variance = TensorAccess::data_as<double>(statistics) + features;
    for (std::int64_t j = 0; j < features; ++j)
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
  if (x.rank() != 2)
    throw ShapeError(fmt::format("{}: input {}; it must be [n, features]", op(), to_string(x.shape())));
  if (x.dim(0) == 0)
    throw ArgumentError(
        fmt::format("{}: input {} has no rows; their mean is not defined", op(), to_string(x.shape())));
}

void require_of_each_feature(const char* what, const Tensor& t, const Tensor& x) {
  detail::require_same_dtype(op::BatchNorm::name, x, t, "input", what);
  if (t.shape() != Shape{x.dim(1)})
    throw ShapeError(fmt::format("{}: {} {} for input {}; it must be [{}]", op_label(op::BatchNorm::name),
                                 what, to_string(t.shape()), to_string(x.shape()), x.dim(1)));
}

}  // namespace

Tensor op::BatchNorm::forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                              Residuals<1>& r) const {
  require_batch(x);
  require_of_each_feature("gamma", gamma, x);
  require_of_each_feature("beta", beta, x);
  const Tensor statistics = Tensor::empty({2, x.dim(1)}, f64);
  auto* mean = TensorAccess::data_as<double>(statistics);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    detail::column_statistics(x.dim(0), x.dim(1), TensorAccess::data_as<T>(x), mean, mean + x.dim(1));
    Columns columns(x, statistics, eps);
    if (columns.scales.defined()) {
      columns.unscale(statistics);
      columns.add_eps();
    }
    detail::normalize_columns(x.dim(0), x.dim(1), TensorAccess::data_as<T>(columns.x), columns.view(),
                              TensorAccess::data_as<T>(gamma), TensorAccess::data_as<T>(beta),
                              TensorAccess::data_as<T>(y));
  });
  r[0] = statistics;
  return y;
}

void op::BatchNorm::vjp(VjpContext<BatchNorm>& ctx) {
  const Tensor& g = ctx.grad_output();
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, 0));
  if (!ctx.needs_grad(0) && !ctx.needs_grad(1)) return;
  Tensor x = ctx.input<0>();
  const Columns columns(x.detach(), ctx.residual<0>(), ctx.op().eps);
  const Tensor& scales = columns.scales;  // change in leaps alone
  if (scales.defined()) x = x * scales;
  const Tensor variance = var(x, 0);
  const Tensor inv_std =
      rsqrt(scales.defined() ? variance + cast(columns.scaled_eps(), x.dtype()) : variance + ctx.op().eps);
  const Tensor x_hat = (x - mean(x, 0)) * inv_std;
  const auto contribution = [&](const Tensor& r) { return detail::contribution_along(g, 0, r); };
  if (ctx.needs_grad(1)) ctx.add(1, contribution(sum(g * x_hat, 0)));
  if (!ctx.needs_grad(0)) return;
  const Tensor gamma = scales.defined() ? ctx.input<1>() * scales : ctx.input<1>();
  ctx.add(0, contribution(gamma * inv_std * (g - mean(g, 0) - x_hat * mean(g * x_hat, 0))));
}

namespace {

/// The features whose gradients are 0 throughout although their elements are not finite: they contribute nothing.
template <class T>
std::vector<std::int64_t> features_without_gradient(std::int64_t rows, std::int64_t features, const T* g,
                                                    const double* dgamma) {
  std::vector<std::int64_t> found;
  for (std::int64_t j = 0; j < features; ++j) {
    std::int64_t r = std::isfinite(dgamma[j]) ? -1 : 0;
    while (r >= 0 && r < rows && g[r * features + j] == T{0}) ++r;
    if (r == rows) found.push_back(j);
  }
  return found;
}

}  // namespace

void op::BatchNorm::vjp_fused(VjpContext<BatchNorm>& ctx) {
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const std::int64_t rows = ctx.output_shape()[0], features = ctx.output_shape()[1];
    const T* g = TensorAccess::data_as<T>(ctx.grad_output());
    const auto write = [&](std::size_t input, const double* values) {
      ctx.accumulate<T>(input, [&](Destination<T> to) {
        to.put(features, [values](std::int64_t j) { return static_cast<T>(values[j]); });
      });
    };
    if (!ctx.needs_grad(0) && !ctx.needs_grad(1)) return ctx.add(2, sum(ctx.grad_output(), 0));

    Columns columns(ctx.input<0>(), ctx.residual<0>(), ctx.op().eps);
    if (columns.scales.defined()) columns.add_eps();
    const T* const x = TensorAccess::data_as<T>(columns.x);
    detail::Workspace<double> sums(2 * features);
    double* const dgamma = sums.data();
    double* const dbeta = dgamma + features;
    detail::normalize_sums(rows, features, g, x, columns.view(), dgamma, dbeta);
    const std::vector<std::int64_t> without = features_without_gradient(rows, features, g, dgamma);
    for (const std::int64_t j : without) dgamma[j] = dbeta[j] = 0;
    if (ctx.needs_grad(0)) {
      // dx is that of the scaled elements, scaled once more.
      const Tensor gamma = columns.scales.defined() ? ctx.input<1>() * columns.scales : ctx.input<1>();
      const auto gradient = [&](Destination<T> to) {
        detail::normalize_gradient(rows, features, g, x, columns.view(), TensorAccess::data_as<T>(gamma),
                                   dgamma, dbeta, to);
      };
      ctx.accumulate<T>(0, [&](Destination<T> to) {
        if (without.empty()) return gradient(to);
        to.through(rows * features, [&](T* dx) {
          gradient(Destination<T>{dx, false});
          for (const std::int64_t j : without)
            for (std::int64_t r = 0; r < rows; ++r) dx[r * features + j] = 0;
        });
      });
    }
    if (ctx.needs_grad(1)) write(1, dgamma);
    if (ctx.needs_grad(2)) write(2, dbeta);
  });
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
