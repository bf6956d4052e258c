#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/softmax.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/neural/loss_ops.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::dispatch_isa;
using detail::for_each_row;
using detail::parallel_ranges;
using detail::Real;
using detail::RowLayout;
using detail::simd_for;
using detail::TensorAccess;

namespace {

void require_rows(const char* op, const Tensor& x, std::size_t axis) {
  if (!is_floating(x.dtype()))
    throw DtypeError(fmt::format(
        "{}: an input of i64; this operation takes f32 and f64, cast the input first", op_label(op)));
  if (x.shape()[axis] == 0)
    throw ArgumentError(fmt::format("{}: axis {} of an input of shape {} is empty; the result is not defined",
                                    op_label(op), axis, to_string(x.shape())));
}

Tensor sum_along(const Tensor& x, std::size_t axis) { return sum(x, axis, KeepDims::yes); }

/// y = of_rows(x, rows, n, y) for the rows of x along an axis.
template <class T, class F>
void map_rows(const Tensor& x, std::size_t axis, Tensor& y, F&& of_rows) {
  const RowLayout rows(x.shape(), axis);
  const T* const from = TensorAccess::data_as<T>(x);
  T* const to = TensorAccess::data_as<T>(y);
  if (rows.inner != 1)
    return for_each_row<T, 1>(rows, {from}, to, false, [&](std::int64_t, const auto& in, T* out) {
      of_rows(in[0], std::int64_t{1}, rows.extent, out);
    });
  parallel_ranges(rows.outer, rows.together(), [&](std::int64_t begin, std::int64_t end) {
    of_rows(from + begin * rows.extent, end - begin, rows.extent, to + begin * rows.extent);
  });
}

}  // namespace

Tensor Softmax::forward(const Tensor& x) const {
  require_rows(name, x, axis);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> { map_rows<T>(x, axis, y, detail::softmax_rows<T>); });
  return y;
}

void Softmax::vjp(VjpContext<Softmax>& ctx) {
  const Tensor y = ctx.output();
  const Tensor& g = ctx.grad_output();
  ctx.add(0, y * (g - sum_along(g * y, ctx.op().axis)));
}

void Softmax::vjp_fused(VjpContext<Softmax>& ctx) {
  const Tensor y = ctx.output();
  visit_floating(y.dtype(), [&]<class T> {
    const RowLayout rows(y.shape(), ctx.op().axis);
    const std::int64_t n = rows.extent;
    const auto row = [&](std::int64_t, const auto& in, T* out) {
      const T* const p = in[0];
      const T* const g = in[1];
      dispatch_isa([&]() {
        simd_for(n, [&](std::int64_t j) { out[j] = p[j] * g[j]; });
        const T mean = static_cast<T>(detail::sum_of(out, n));
        simd_for(n, [&](std::int64_t j) { out[j] = p[j] * (g[j] - mean); });
      });
    };
    ctx.accumulate(0, [&](Tensor& to, bool add) {
      for_each_row<T, 2>(rows, {TensorAccess::data_as<T>(y), TensorAccess::data_as<T>(ctx.grad_output())},
                         TensorAccess::data_as<T>(to), add, row);
    });
  });
}

Tensor softmax(const Tensor& x, std::int64_t axis) {
  return apply_op(Softmax{.axis = detail::axis_of(x, axis, Softmax::name)}, x);
}

Tensor LogSoftmax::forward(const Tensor& x) const {
  require_rows(name, x, axis);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> { map_rows<T>(x, axis, y, detail::log_softmax_rows<T>); });
  return y;
}

void LogSoftmax::vjp(VjpContext<LogSoftmax>& ctx) {
  const Tensor& g = ctx.grad_output();
  ctx.add(0, g - exp(ctx.output()) * sum_along(g, ctx.op().axis));
}

void LogSoftmax::vjp_fused(VjpContext<LogSoftmax>& ctx) {
  const Tensor y = ctx.output();
  visit_floating(y.dtype(), [&]<class T> {
    const RowLayout rows(y.shape(), ctx.op().axis);
    const std::int64_t n = rows.extent;
    const auto row = [&](std::int64_t, const auto& in, T* out) {
      const T* const l = in[0];
      const T* const g = in[1];
      dispatch_isa([&]() {
        const T total = static_cast<T>(detail::sum_of(g, n));
        simd_for(n, [&](std::int64_t j) { out[j] = g[j] - exp(Real<T>{l[j]}).v * total; });
      });
    };
    ctx.accumulate(0, [&](Tensor& to, bool add) {
      for_each_row<T, 2>(rows, {TensorAccess::data_as<T>(y), TensorAccess::data_as<T>(ctx.grad_output())},
                         TensorAccess::data_as<T>(to), add, row);
    });
  });
}

Tensor log_softmax(const Tensor& x, std::int64_t axis) {
  return apply_op(LogSoftmax{.axis = detail::axis_of(x, axis, LogSoftmax::name)}, x);
}

}  // namespace tapegrad
