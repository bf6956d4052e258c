#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/kernels/softmax.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/neural/confident.h>
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
  s.add(Op{.axis = 1}, {SampleInput::of(Tensor::from({{0, -6, -8}, {20, 30, 20}}, f64))}, "one far ahead");
  s.uncertain_from(1);
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
  const std::size_t axis = ctx.op().axis;
  ctx.add(0, detail::contribution_along(g, axis, y * detail::centred(y, g, axis)));
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
        detail::centre_row(p, g, n, detail::dominant_class(p, n), out,
                           [&](std::int64_t j, T centred) { return p[j] * centred; });
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

// Of an element that has nearly all of the probability, g - e^y sum g is taken as -g (e^y - 1) - e^y times the g of all
// others, which loses no digit.
void op::LogSoftmax::vjp(VjpContext<LogSoftmax>& ctx) {
  const Tensor& g = ctx.grad_output();
  const std::size_t axis = ctx.op().axis;
  const Tensor y = ctx.output();
  const Tensor p = exp(y);
  Tensor r = g - p * sum_along(g, axis);
  if (const Tensor ahead = detail::elements_above(y, detail::kLnFarAhead); ahead.defined())
    r = where(ahead, -(g * expm1(y)) - p * sum_along(where(ahead, 0, g), axis), r);
  ctx.add(0, detail::contribution_along(g, axis, r));
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
        if (total == T{0} && detail::all_zero(g, n)) return std::fill_n(out, n, T{0}), void();
        simd_for(n, [&](std::int64_t j) { out[j] = g[j] - exp(detail::Real<T>{l[j]}).v * total; });
        const std::int64_t ahead =
            detail::first_where(l, n, [](T v) { return v > static_cast<T>(detail::kLnFarAhead); });
        if (ahead == n) return;
        const double others = detail::sum_without(g, n, ahead);
        const detail::Real<T> log_p{l[ahead]};
        out[ahead] = -(g[ahead] * expm1(log_p).v) - exp(log_p).v * static_cast<T>(others);
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
