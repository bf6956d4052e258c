#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/kernels/softmax.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

namespace {
/// Shapes for an op along an axis: the last, the first and one between, rows short and beyond a block.
template <class Op>
void axis_samples(Samples& s) {
  s.add(Op{.axis = 0}, {Shape{1}});
  s.add(Op{.axis = 0}, {Shape{7}});
  s.add(Op{.axis = 1}, {Shape{3, 5}});
  s.add(Op{.axis = 0}, {Shape{3, 5}});
  s.add(Op{.axis = 1}, {Shape{2, 3, 4}});
  s.add(Op{.axis = 1}, {Shape{2, 40}});
  s.add(Op{.axis = 1}, {Shape{263, 131}}, "for several threads");
  s.add(Op{.axis = 0}, {SampleInput::of(Tensor::from({1e4, 1e4 - 1, -1e4}, f64))}, "large");
}
}  // namespace

struct Softmax {  // with g = dL/dy:  dL/dx = y (g - sum g y)
  static constexpr auto name = "softmax";
  static constexpr auto saves = saves_for(kOut);
  static constexpr bool composed = false;
  std::size_t axis = 0;
  void describe(AttributeVisitor& v) const { v("axis", axis); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Softmax>& ctx);
  static void vjp_fused(VjpContext<Softmax>& ctx);
  static void samples(Samples& s) { axis_samples<Softmax>(s); }
};

struct LogSoftmax {  // dL/dx = g - e^y sum g
  static constexpr auto name = "log_softmax";
  static constexpr auto saves = saves_for(kOut);
  static constexpr bool composed = false;
  std::size_t axis = 0;
  void describe(AttributeVisitor& v) const { v("axis", axis); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<LogSoftmax>& ctx);
  static void vjp_fused(VjpContext<LogSoftmax>& ctx);
  static void samples(Samples& s) { axis_samples<LogSoftmax>(s); }
};

}  // namespace op

using detail::AxisView;
using detail::Destination;
using detail::dispatch_isa;
using detail::for_each_row;
using detail::parallel_ranges;
using detail::Real;
using detail::simd_for;
using detail::TensorAccess;

namespace {

void require_rows(const char* op, const Tensor& x, std::size_t axis) {
  detail::require_floating(op, x);
  if (x.shape()[axis] == 0)
    throw ArgumentError(fmt::format("{}: axis {} of an input of shape {} is empty; the result is not defined",
                                    op_label(op), axis, to_string(x.shape())));
}

Tensor sum_along(const Tensor& x, std::size_t axis) { return sum(x, axis, KeepDims::yes); }

/// y = of_rows(x, rows, n, y) for the rows of x along an axis.
template <class T, class F>
void map_rows(const Tensor& x, std::size_t axis, Tensor& y, F&& of_rows) {
  const AxisView view(x.shape(), axis);
  const std::int64_t n = view.size;
  const T* const from = TensorAccess::data_as<T>(x);
  T* const to = TensorAccess::data_as<T>(y);
  if (view.inner != 1)
    return for_each_row<T, 1>(view, {from}, Destination<T>{to, false},
                              [&](const auto& in, T* out) { of_rows(in[0], std::int64_t{1}, n, out); });
  parallel_ranges(view.outer, detail::grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    of_rows(from + begin * n, end - begin, n, to + begin * n);
  });
}

}  // namespace

Tensor op::Softmax::forward(const Tensor& x) const {
  require_rows(name, x, axis);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> { map_rows<T>(x, axis, y, detail::softmax_rows<T>); });
  return y;
}

void op::Softmax::vjp(VjpContext<Softmax>& ctx) {
  const Tensor y = ctx.output();
  const Tensor& g = ctx.grad_output();
  ctx.add(0, y * (g - sum_along(g * y, ctx.op().axis)));
}

void op::Softmax::vjp_fused(VjpContext<Softmax>& ctx) {
  const Tensor y = ctx.output();
  visit_floating(y.dtype(), [&]<class T> {
    const AxisView view(y.shape(), ctx.op().axis);
    const std::int64_t n = view.size;
    const auto row = [&](const auto& in, T* out) {
      const T* const p = in[0];
      const T* const g = in[1];
      dispatch_isa([&]() {
        simd_for(n, [&](std::int64_t j) { out[j] = p[j] * g[j]; });
        const T mean = static_cast<T>(detail::sum_of(out, n));
        simd_for(n, [&](std::int64_t j) { out[j] = p[j] * (g[j] - mean); });
      });
    };
    ctx.accumulate<T>(0, [&](Destination<T> to) {
      for_each_row<T, 2>(view, {TensorAccess::data_as<T>(y), TensorAccess::data_as<T>(ctx.grad_output())}, to,
                         row);
    });
  });
}

Tensor softmax(const Tensor& x, std::int64_t axis) {
  return apply_op(op::Softmax{.axis = detail::axis_of(x, axis, op::Softmax::name)}, x);
}

Tensor op::LogSoftmax::forward(const Tensor& x) const {
  require_rows(name, x, axis);
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> { map_rows<T>(x, axis, y, detail::log_softmax_rows<T>); });
  return y;
}

void op::LogSoftmax::vjp(VjpContext<LogSoftmax>& ctx) {
  const Tensor& g = ctx.grad_output();
  ctx.add(0, g - exp(ctx.output()) * sum_along(g, ctx.op().axis));
}

void op::LogSoftmax::vjp_fused(VjpContext<LogSoftmax>& ctx) {
  const Tensor y = ctx.output();
  visit_floating(y.dtype(), [&]<class T> {
    const AxisView view(y.shape(), ctx.op().axis);
    const std::int64_t n = view.size;
    const auto row = [&](const auto& in, T* out) {
      const T* const l = in[0];
      const T* const g = in[1];
      dispatch_isa([&]() {
        const T total = static_cast<T>(detail::sum_of(g, n));
        simd_for(n, [&](std::int64_t j) { out[j] = g[j] - exp(Real<T>{l[j]}).v * total; });
      });
    };
    ctx.accumulate<T>(0, [&](Destination<T> to) {
      for_each_row<T, 2>(view, {TensorAccess::data_as<T>(y), TensorAccess::data_as<T>(ctx.grad_output())}, to,
                         row);
    });
  });
}

Tensor log_softmax(const Tensor& x, std::int64_t axis) {
  return apply_op(op::LogSoftmax{.axis = detail::axis_of(x, axis, op::LogSoftmax::name)}, x);
}

template const OpInfo& detail::info_of<op::Softmax>();
template const OpInfo& detail::info_of<op::LogSoftmax>();

}  // namespace tapegrad
