#include <cmath>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/kernels/normalize.h>
#include <tapegrad/ops/neural/norm_ops.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::ColumnStatistics;
using detail::TensorAccess;

namespace {

ColumnStatistics columns_of(const Tensor& statistics, double eps) {
  const auto* mean = TensorAccess::data_as<double>(statistics);
  return {mean, mean + statistics.dim(1), eps};
}

void require_batch(const Tensor& x) {
  const auto op = [] { return op_label(BatchNorm::name); };
  if (!x.defined()) throw ArgumentError(fmt::format("{}: input 0 is an undefined tensor", op()));
  if (!is_floating(x.dtype()))
    throw DtypeError(
        fmt::format("{}: an input of i64; this operation takes f32 and f64, cast the input first", op()));
  if (x.rank() != 2)
    throw ShapeError(fmt::format("{}: input {}; it must be [n, features]", op(), to_string(x.shape())));
  if (x.dim(0) == 0)
    throw ArgumentError(
        fmt::format("{}: input {} has no rows; their mean is not defined", op(), to_string(x.shape())));
}

void require_of_each_feature(const char* what, const Tensor& t, const Tensor& x) {
  if (t.dtype() != x.dtype())
    throw DtypeError(fmt::format("{}: input of {} and {} of {}; cast one of them", op_label(BatchNorm::name),
                                 name_of(x.dtype()), what, name_of(t.dtype())));
  if (t.shape() != Shape{x.dim(1)})
    throw ShapeError(fmt::format("{}: {} {} for input {}; it must be [{}]", op_label(BatchNorm::name), what,
                                 to_string(t.shape()), to_string(x.shape()), x.dim(1)));
}

}  // namespace

Tensor BatchNorm::forward(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                          const Tensor& statistics) const {
  require_of_each_feature("gamma", gamma, x);
  require_of_each_feature("beta", beta, x);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    detail::normalize_columns(x.dim(0), x.dim(1), TensorAccess::data_as<T>(x), columns_of(statistics, eps),
                              TensorAccess::data_as<T>(gamma), TensorAccess::data_as<T>(beta),
                              TensorAccess::data_as<T>(y));
  });
  return y;
}

void BatchNorm::vjp(VjpContext<BatchNorm>& ctx) {
  const Tensor& g = ctx.grad_output();
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, 0));
  if (!ctx.needs_grad(0) && !ctx.needs_grad(1)) return;
  const Tensor x = ctx.input<0>();
  const Tensor of_std = rsqrt(var(x, 0) + ctx.op().eps);
  const Tensor z = (x - mean(x, 0)) * of_std;
  if (ctx.needs_grad(1)) ctx.add(1, sum(g * z, 0));
  if (!ctx.needs_grad(0)) return;
  ctx.add(0, ctx.input<1>() * of_std * (g - mean(g, 0) - z * mean(g * z, 0)));
}

void BatchNorm::vjp_fused(VjpContext<BatchNorm>& ctx) {
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const std::int64_t rows = ctx.output_shape()[0], features = ctx.output_shape()[1];
    const T* g = TensorAccess::data_as<T>(ctx.grad_output());
    const auto write = [&](std::size_t input, const double* values) {
      ctx.accumulate(input, [&](Tensor& destination, bool add) {
        T* to = TensorAccess::data_as<T>(destination);
        for (std::int64_t j = 0; j < features; ++j) to[j] = static_cast<T>(values[j]) + (add ? to[j] : T{0});
      });
    };
    if (!ctx.needs_grad(0) && !ctx.needs_grad(1)) return ctx.add(2, sum(ctx.grad_output(), 0));

    const Tensor x = ctx.input<0>();
    const Tensor statistics = ctx.input<3>();
    const ColumnStatistics columns = columns_of(statistics, ctx.op().eps);
    std::vector<double, detail::PoolAllocator<double>> sums(static_cast<std::size_t>(2 * features));
    double* const dgamma = sums.data();
    double* const dbeta = dgamma + features;
    detail::normalize_sums(rows, features, g, TensorAccess::data_as<T>(x), columns, dgamma, dbeta);
    if (ctx.needs_grad(0)) {
      const Tensor gamma = ctx.input<1>();
      ctx.accumulate(0, [&](Tensor& destination, bool add) {
        detail::normalize_gradient(rows, features, g, TensorAccess::data_as<T>(x), columns,
                                   TensorAccess::data_as<T>(gamma), dgamma, dbeta, add,
                                   TensorAccess::data_as<T>(destination));
      });
    }
    if (ctx.needs_grad(1)) write(1, dgamma);
    if (ctx.needs_grad(2)) write(2, dbeta);
  });
}

BatchNormalized batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  require_batch(x);
  if (!(eps > 0 && std::isfinite(eps)))
    throw ArgumentError(
        fmt::format("{}: eps is {}; it must be positive and finite", op_label(BatchNorm::name), eps));
  const Tensor statistics = Tensor::empty({2, x.dim(1)}, f64);
  auto* mean = TensorAccess::data_as<double>(statistics);
  visit_floating(x.dtype(), [&]<class T> {
    detail::column_statistics(x.dim(0), x.dim(1), TensorAccess::data_as<T>(x), mean, mean + x.dim(1));
  });
  const Shape of_each{x.dim(1)};
  // Copies: the tape keeps the statistics themselves, and what is returned is the caller's to change.
  return {apply_op(BatchNorm{eps}, x, gamma, beta, statistics),
          TensorAccess::view(statistics, 0, of_each).copy(),
          TensorAccess::view(statistics, x.dim(1), of_each).copy()};
}

}  // namespace tapegrad
