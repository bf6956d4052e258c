#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/neural/class_targets.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/neural/write_gradient.h>
#include <tapegrad/ops/samples.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::add_nothing;
using detail::as_weights;
using detail::Classes;
using detail::dispatch_isa;
using detail::kCrossEntropyOffset;
using detail::Real;
using detail::row_gradient;
using detail::simd_for;
using detail::Targets;
using detail::TensorAccess;
using detail::write_blocks;
using detail::write_elements;

namespace op {

/// L = -1/N sum_n sum_c t ln(y + 1e-7):  dL/dy = -t / (y + 1e-7) / N,  dL/dt = -ln(y + 1e-7) / N
struct CrossEntropy {
  static constexpr auto name = "cross_entropy";
  static constexpr auto saves = saves_for(kIn0 | kIn1, kIn0);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& y, const Tensor& t) const;
  static void vjp(VjpContext<CrossEntropy>& ctx);
  static void vjp_fused(VjpContext<CrossEntropy>& ctx);
  static void samples(Samples& s) {
    const Domain probability{0.1, 0.9};
    const auto indices = SampleInput::constant(Tensor::from({2, 0, 1, 2}, i64));
    s.add(CrossEntropy{}, {SampleInput(Shape{4, 3}, probability), SampleInput(Shape{4, 3}, probability)},
          "soft targets");
    s.add(CrossEntropy{}, {SampleInput(Shape{4, 3}, probability), indices}, "indices");
    s.add(CrossEntropy{}, {SampleInput(Shape{3}, probability), SampleInput::constant(Tensor::scalar(1, i64))},
          "one sample");
    s.add(CrossEntropy{}, {SampleInput(Shape{3}, probability), SampleInput(Shape{3}, probability)});
    s.add(CrossEntropy{},
          {SampleInput(Shape{263, 131}, probability), SampleInput(Shape{263, 131}, probability)},
          "for several threads");
  }
};

}  // namespace op

namespace {

/// Whether a number is no probability, not even one that has been rounded. A NaN may be one.
template <class T>
bool is_no_probability(T p) {
  return p < static_cast<T>(-kCrossEntropyOffset) || p > static_cast<T>(1.001);
}

/// Looks at what the loss reads, and at all classes of the first row: logits are seldom all between 0 and 1.
template <class T>
void require_probabilities(const Tensor& y, const Targets<T>& targets, const Classes& classes) {
  const T* p = TensorAccess::data_as<T>(y);
  std::int64_t at = 0;
  const std::int64_t n = classes.count, seen = targets.indices() ? n : y.size();
  dispatch_isa([&] { at = detail::first_where(p, seen, [](T v) { return is_no_probability(v); }); });
  if (at == seen) {
    std::int64_t row = targets.indices() ? 0 : classes.rows;
    while (row < classes.rows && !is_no_probability(p[row * n + targets.index(row)])) ++row;
    if (row == classes.rows) return;
    at = row * n + targets.index(row);
  }
  throw ArgumentError(fmt::format(
      "{}: probability {} at {} is not in [0, 1]; logits go to softmax_with_loss, or through softmax first",
      op_label(op::CrossEntropy::name), p[at], detail::index_text(at, y.shape())));
}

}  // namespace

Tensor op::CrossEntropy::forward(const Tensor& y, const Tensor& t) const {
  const Classes classes = Classes::checked(name, "probabilities", y, t);
  return visit_floating(y.dtype(), [&]<class T> {
    const T* p = TensorAccess::data_as<T>(y);
    const Targets<T> targets(t, classes);
    require_probabilities(y, targets, classes);
    const std::int64_t n = classes.count;
    const auto log_at = [&](std::int64_t i) { return log(Real<T>{p[i]} + kCrossEntropyOffset).v; };
    const double total =
        targets.indices()
            ? detail::sum_terms<T>(classes.rows,
                                   [&](std::int64_t r) { return log_at(r * n + targets.index(r)); })
            : detail::sum_terms<T>(classes.rows * n, [&](std::int64_t i) {
                const T w = targets.weights(0)[i];  // zero adds nothing, whatever the logarithm
                return w == T{0} ? T{0} : w * log_at(i);
              });
    return Tensor::scalar(-total / static_cast<double>(classes.rows), y.dtype());
  });
}

void op::CrossEntropy::vjp(VjpContext<CrossEntropy>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  const Tensor g = row_gradient(ctx, classes);
  if (ctx.needs_grad(0)) {
    const Tensor t = as_weights(ctx.input<1>(), classes, ctx.input_dtype(0));
    const Tensor of_target = detail::contribution_by(g, t);
    ctx.add(0, detail::contribution(of_target, -of_target / (ctx.input<0>() + kCrossEntropyOffset)));
  }
  if (ctx.needs_grad(1)) ctx.add(1, detail::contribution(g, -g * log(ctx.input<0>() + kCrossEntropyOffset)));
}

void op::CrossEntropy::vjp_fused(VjpContext<CrossEntropy>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const T scale = -*TensorAccess::data_as<T>(ctx.grad_output()) / static_cast<T>(classes.rows);
    if (scale == T{0}) return add_nothing(ctx);
    const Tensor y = ctx.input<0>();
    const T* p = TensorAccess::data_as<T>(y);
    const std::int64_t n = classes.count;
    if (ctx.needs_grad(0)) {
      const Tensor t = ctx.input<1>();
      const Targets<T> targets(t, classes);
      write_blocks<T>(ctx, 0, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        const T* const row = p + first * n;
        const auto slope = [&](std::int64_t i) { return scale / (Real<T>{row[i]} + kCrossEntropyOffset).v; };
        if (targets.indices()) {
          std::fill_n(out, count * n, T{0});
          for (std::int64_t r = 0; r < count; ++r) {
            const std::int64_t i = r * n + targets.index(first + r);
            out[i] = slope(i);
          }
        } else {
          const T* const w = targets.weights(first);
          dispatch_isa([&] {
            simd_for(count * n, [&](std::int64_t i) { out[i] = w[i] == T{0} ? T{0} : w[i] * slope(i); });
          });
        }
      });
    }
    if (ctx.needs_grad(1))
      write_elements<T>(ctx, 1,
                        [&](std::int64_t i) { return scale * log(Real<T>{p[i]} + kCrossEntropyOffset).v; });
  });
}

Tensor detail::weighed_cross_entropy(const Tensor& y, const Tensor& t) {
  return apply_op(op::CrossEntropy{}, y, t);
}

Tensor cross_entropy(const Tensor& y, const Tensor& t) {
  detail::require_classification(op::CrossEntropy::name, "probabilities", y, t);
  return detail::weighed_cross_entropy(y, t);
}

template const OpInfo& detail::info_of<op::CrossEntropy>();

}  // namespace tapegrad
