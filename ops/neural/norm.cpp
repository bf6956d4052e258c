#include <array>
#include <cmath>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/kernels/normalize.h>
#include <tapegrad/ops/neural/norm.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

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
  }
};

}  // namespace op

using detail::ColumnStatistics;
using detail::Destination;
using detail::TensorAccess;

namespace {

ColumnStatistics columns_of(const Tensor& statistics, double eps) {
  const auto* mean = TensorAccess::data_as<double>(statistics);
  return {mean, mean + statistics.dim(1), eps};
}

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
    const T* values = TensorAccess::data_as<T>(x);
    detail::column_statistics(x.dim(0), x.dim(1), values, mean, mean + x.dim(1));
    detail::normalize_columns(x.dim(0), x.dim(1), values, columns_of(statistics, eps),
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
  const Tensor x = ctx.input<0>();
  const Tensor inv_std = rsqrt(var(x, 0) + ctx.op().eps);
  const Tensor x_hat = (x - mean(x, 0)) * inv_std;
  if (ctx.needs_grad(1)) ctx.add(1, sum(g * x_hat, 0));
  if (!ctx.needs_grad(0)) return;
  ctx.add(0, ctx.input<1>() * inv_std * (g - mean(g, 0) - x_hat * mean(g * x_hat, 0)));
}

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

    const Tensor x = ctx.input<0>();
    const Tensor statistics = ctx.residual<0>();
    const ColumnStatistics columns = columns_of(statistics, ctx.op().eps);
    detail::Workspace<double> sums(2 * features);
    double* const dgamma = sums.data();
    double* const dbeta = dgamma + features;
    detail::normalize_sums(rows, features, g, TensorAccess::data_as<T>(x), columns, dgamma, dbeta);
    if (ctx.needs_grad(0)) {
      const Tensor gamma = ctx.input<1>();
      ctx.accumulate<T>(0, [&](Destination<T> to) {
        detail::normalize_gradient(rows, features, g, TensorAccess::data_as<T>(x), columns,
                                   TensorAccess::data_as<T>(gamma), dgamma, dbeta, to);
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
