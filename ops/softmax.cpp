#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/softmax.h>
#include <tapegrad/ops/loss_ops.h>
#include <tapegrad/ops/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::fold_row;
using detail::for_each_row;
using detail::Real;
using detail::RowLayout;
using detail::SumFold;
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

}  // namespace

Tensor Softmax::f(const Tensor& x) const {
  require_rows(name, x, axis);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    const RowLayout rows(x.shape(), axis);
    const auto row = [&](std::int64_t, const auto& in, T* out) {
      const T sum = detail::shifted_exp(in[0], rows.extent, out);
      for (std::int64_t j = 0; j < rows.extent; ++j) out[j] /= sum;
    };
    for_each_row<T, 1>(rows, {TensorAccess::data_as<T>(x)}, TensorAccess::data_as<T>(y), false, row);
  });
  return y;
}

void Softmax::vjp(Vjp<Softmax>& m) {
  const Tensor y = m.out();
  const Tensor& g = m.gy();
  m.add(0, y * (g - sum_along(g * y, m.op().axis)));
}

void Softmax::vjp_fused(Vjp<Softmax>& m) {
  const Tensor y = m.out();
  visit_floating(y.dtype(), [&]<class T> {
    const RowLayout rows(y.shape(), m.op().axis);
    const auto row = [&](std::int64_t, const auto& in, T* out) {
      const T* const p = in[0];
      const T* const g = in[1];
      for (std::int64_t j = 0; j < rows.extent; ++j) out[j] = p[j] * g[j];
      const T mean = fold_row<SumFold>(out, rows.extent);
      for (std::int64_t j = 0; j < rows.extent; ++j) out[j] = p[j] * (g[j] - mean);
    };
    m.accumulate(0, [&](Tensor& to, bool add) {
      for_each_row<T, 2>(rows, {TensorAccess::data_as<T>(y), TensorAccess::data_as<T>(m.gy())},
                         TensorAccess::data_as<T>(to), add, row);
    });
  });
}

Tensor softmax(const Tensor& x, std::int64_t axis) {
  return apply_op(Softmax{.axis = detail::axis_of(x, axis, Softmax::name)}, x);
}

Tensor LogSoftmax::f(const Tensor& x) const {
  require_rows(name, x, axis);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    const RowLayout rows(x.shape(), axis);
    const auto row = [&](std::int64_t, const auto& in, T* out) {
      const detail::LogSumExpOfRow<T> log_sum(in[0], rows.extent);
      for (std::int64_t j = 0; j < rows.extent; ++j) out[j] = log_sum.log_softmax(in[0][j]);
    };
    for_each_row<T, 1>(rows, {TensorAccess::data_as<T>(x)}, TensorAccess::data_as<T>(y), false, row);
  });
  return y;
}

void LogSoftmax::vjp(Vjp<LogSoftmax>& m) {
  const Tensor& g = m.gy();
  m.add(0, g - exp(m.out()) * sum_along(g, m.op().axis));
}

void LogSoftmax::vjp_fused(Vjp<LogSoftmax>& m) {
  const Tensor y = m.out();
  visit_floating(y.dtype(), [&]<class T> {
    const RowLayout rows(y.shape(), m.op().axis);
    const auto row = [&](std::int64_t, const auto& in, T* out) {
      const T* const l = in[0];
      const T* const g = in[1];
      const T total = fold_row<SumFold>(g, rows.extent);
      for (std::int64_t j = 0; j < rows.extent; ++j) out[j] = g[j] - exp(Real<T>{l[j]}).v * total;
    };
    m.accumulate(0, [&](Tensor& to, bool add) {
      for_each_row<T, 2>(rows, {TensorAccess::data_as<T>(y), TensorAccess::data_as<T>(m.gy())},
                         TensorAccess::data_as<T>(to), add, row);
    });
  });
}

Tensor log_softmax(const Tensor& x, std::int64_t axis) {
  return apply_op(LogSoftmax{.axis = detail::axis_of(x, axis, LogSoftmax::name)}, x);
}

}  // namespace tapegrad
