#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/kernels/softmax.h>
#include <tapegrad/ops/neural/class_targets.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/neural/softmax_residual.h>
#include <tapegrad/ops/neural/write_gradient.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>

namespace tapegrad {

using detail::add_nothing;
using detail::Classes;
using detail::dispatch_isa;
using detail::row_gradient;
using detail::simd_for;
using detail::Targets;
using detail::TensorAccess;
using detail::write_blocks;

namespace op {

/// L = -1/N sum_n sum_c t ln softmax(x):  dL/dx = (softmax(x) sum_c t - t) / N,  dL/dt = -ln softmax(x) / N
struct SoftmaxWithLoss {
  static constexpr auto name = "softmax_with_loss";
  static constexpr auto saves = saves_for(kIn0 | kIn1 | kResidual0, kIn0);
  static constexpr bool composed = false;
  /// r[0] = softmax(x). It changes with x, so only the fused rule reads it.
  Tensor forward(const Tensor& x, const Tensor& t, Residuals<1>& r) const;
  static void vjp(VjpContext<SoftmaxWithLoss>& ctx);
  static void vjp_fused(VjpContext<SoftmaxWithLoss>& ctx);
  static void samples(Samples& s) {
    const Domain probability{0.05, 0.95};
    const auto indices = SampleInput::constant(Tensor::from({2, 0, 1, 2}, i64));
    s.add(SoftmaxWithLoss{}, {Shape{4, 3}, SampleInput(Shape{4, 3}, probability)}, "soft targets");
    s.add(SoftmaxWithLoss{}, {Shape{4, 3}, indices}, "indices");
    s.add(SoftmaxWithLoss{}, {Shape{2, 2, 3}, SampleInput::constant(Tensor::from({2, 0, 1, 2}, {2, 2}, i64))},
          "batch of two axes");
    s.add(SoftmaxWithLoss{}, {Shape{3}, SampleInput::constant(Tensor::scalar(1, i64))}, "one sample");
    s.add(SoftmaxWithLoss{}, {Shape{3}, SampleInput(Shape{3}, probability)});
    s.add(SoftmaxWithLoss{}, {Shape{263, 131}, SampleInput(Shape{263, 131}, probability)},
          "for several threads");
    s.add(SoftmaxWithLoss{},
          {SampleInput::of(Tensor::from({{1e4, 1e4 - 1, -1e4}}, f64)),
           SampleInput::constant(Tensor::from({1}, i64))},
          "large logits");
    s.add(SoftmaxWithLoss{},
          {SampleInput::of(Tensor::from({{0, -20, -30}, {20, 41, 20}}, f64)),
           SampleInput::constant(Tensor::from({0, 1}, i64))},
          "confident and right");
    s.uncertain_from(1);
    s.add(SoftmaxWithLoss{},
          {SampleInput::of(Tensor::from({{0, -20, -30}, {20, 41, 20}}, f64)),
           SampleInput::of(Tensor::from({{1, 0, 0}, {0, 0.5, 0.5}}, f64))},
          "confident, soft targets");
    s.uncertain_from(1);
  }
};

}  // namespace op

namespace {

/// sum t * value, where a t of zero adds nothing whatever the value; leaves the terms in place of the values.
template <class T>
double weighted_sum(const T* t, T* values, std::int64_t n) {
  simd_for(n, [&](std::int64_t i) { values[i] = t[i] == T{0} ? T{0} : t[i] * values[i]; });
  return detail::sum_of(values, n);
}

}  // namespace

Tensor op::SoftmaxWithLoss::forward(const Tensor& x, const Tensor& t, Residuals<1>& r) const {
  const Classes classes = Classes::checked(name, "logits", x, t);
  if (r.needed()) r[0] = Tensor::empty(x.shape(), x.dtype());
  return visit_floating(x.dtype(), [&]<class T> {
    const T* scores = TensorAccess::data_as<T>(x);
    T* const probabilities = r.needed() ? TensorAccess::data_as<T>(r[0]) : nullptr;
    const Targets<T> targets(t, classes);
    const std::int64_t n = classes.count;
    using Scratch = detail::Workspace<T>;
    const auto block = [&](std::int64_t from, std::int64_t to) {
      const std::int64_t size = detail::rows_at_a_time(n) * n;
      Scratch exponentials(probabilities ? 0 : size);
      Scratch logs(targets.indices() ? 0 : size);
      double total = 0;
      detail::few_rows(to - from, n, [&](std::int64_t first, std::int64_t count) {
        const std::int64_t begin = from + first;
        const T* const row = scores + begin * n;
        T* const p = probabilities ? probabilities + begin * n : exponentials.data();
        dispatch_isa([&]() {
          detail::RowsOfExponentials<T> e(row, count, n, p);
          e.take_logs(p, count, n);
          for (std::int64_t i = 0; i < count; ++i) {
            // ln softmax as x - largest - ln sum e^(x - largest), which keeps digits that one logarithm would lose.
            const auto log_softmax = [&](std::int64_t j) {
              return (row[i * n + j] - e.largest[i]) - e.log_sum[i];
            };
            if (targets.indices())
              total += static_cast<double>(log_softmax(targets.index(begin + i)));
            else
              simd_for(n, [&](std::int64_t j) { logs[i * n + j] = log_softmax(j); });
            if (probabilities) {
              const T share = T{1} / e.sum[i];
              T* const out = p + i * n;
              simd_for(n, [&](std::int64_t j) { out[j] *= share; });
            }
          }
          if (!targets.indices()) total += weighted_sum(targets.weights(begin), logs.data(), count * n);
        });
      });
      return total;
    };
    const double total = detail::sum_ranges(classes.rows, classes.grain(), block);
    return Tensor::scalar(-total / static_cast<double>(classes.rows), x.dtype());
  });
}

void op::SoftmaxWithLoss::vjp(VjpContext<SoftmaxWithLoss>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  const Tensor g = row_gradient(ctx, classes);
  const Tensor x = ctx.input<0>();
  if (ctx.needs_grad(0)) ctx.add(0, detail::contribution_by(g, detail::softmax_residual(x, ctx.input<1>())));
  if (ctx.needs_grad(1)) {
    const Tensor d = log_softmax(x);
    ctx.add(1, detail::contribution(g, -g * d));
  }
}

void op::SoftmaxWithLoss::vjp_fused(VjpContext<SoftmaxWithLoss>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const T scale = *TensorAccess::data_as<T>(ctx.grad_output()) / static_cast<T>(classes.rows);
    const std::int64_t n = classes.count;
    if (scale == T{0}) return add_nothing(ctx);
    if (ctx.needs_grad(0)) {
      const Tensor probabilities = ctx.residual<0>();
      const T* const p = TensorAccess::data_as<T>(probabilities);
      const Tensor t = ctx.input<1>();
      const Targets<T> targets(t, classes);
      write_blocks<T>(ctx, 0, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        detail::softmax_residual_rows(p + first * n, targets, first, count, n, scale, out);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor x = ctx.input<0>();
      const T* const scores = TensorAccess::data_as<T>(x);
      write_blocks<T>(ctx, 1, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        detail::log_softmax_rows(scores + first * n, count, n, out);
        dispatch_isa([&] { simd_for(count * n, [&](std::int64_t i) { out[i] *= -scale; }); });
      });
    }
  });
}

Tensor detail::weighed_softmax_with_loss(const Tensor& x, const Tensor& t) {
  return apply_op(op::SoftmaxWithLoss{}, x, t);
}

Tensor softmax_with_loss(const Tensor& x, const Tensor& t) {
  detail::require_classification(op::SoftmaxWithLoss::name, "logits", x, t);
  return detail::weighed_softmax_with_loss(x, t);
}

template const OpInfo& detail::info_of<op::SoftmaxWithLoss>();

}  // namespace tapegrad
