#include <tapegrad/ops/neural/softmax_residual.h>

#include <algorithm>

#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/confident.h>
#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad {

using detail::Classes;
using detail::dispatch_isa;
using detail::DominantClasses;
using detail::simd_for;
using detail::Targets;
using detail::TensorAccess;
using detail::write_blocks;

namespace op {

/// y = p sum t - t with p = softmax(x):  dx = p (w - sum w p) with w = g sum t,  dt = sum g p - g
struct SoftmaxResidual {
  static constexpr auto name = "softmax_residual";
  static constexpr auto saves = saves_for(kIn0 | kIn1 | kResidual0, kIn0 | kResidual0);
  static constexpr bool composed = false;
  /// r[0] = p. It changes with x, so only the fused rule reads it.
  Tensor forward(const Tensor& x, const Tensor& t, Residuals<1>& r) const;
  static void vjp(VjpContext<SoftmaxResidual>& ctx);
  static void vjp_fused(VjpContext<SoftmaxResidual>& ctx);
  static void samples(Samples& s) {
    const Domain probability{0.05, 0.95};
    const auto indices = SampleInput::constant(Tensor::from({2, 0, 1, 2}, i64));
    s.add(SoftmaxResidual{}, {Shape{4, 3}, SampleInput(Shape{4, 3}, probability)}, "soft targets");
    s.add(SoftmaxResidual{}, {Shape{4, 3}, indices}, "indices");
    s.add(SoftmaxResidual{}, {Shape{3}, SampleInput::constant(Tensor::scalar(1, i64))}, "one sample");
    s.add(SoftmaxResidual{}, {Shape{263, 131}, SampleInput(Shape{263, 131}, probability)},
          "for several threads");
    s.add(SoftmaxResidual{},
          {SampleInput::of(Tensor::from({{0, -6, -8}, {20, 30, 20}}, f64)),
           SampleInput::constant(Tensor::from({0, 1}, i64))},
          "confident and right");
    s.uncertain_from(1);
    s.add(SoftmaxResidual{},
          {SampleInput::of(Tensor::from({{0, -6, -8}, {20, 30, 20}}, f64)),
           SampleInput::of(Tensor::from({{1, 0, 0}, {0, 0.5, 0.5}}, f64))},
          "confident, soft targets");
    s.uncertain_from(1);
  }
};

}  // namespace op

// That of a class far ahead, p sum t - t, is taken as p times the targets of all others - t times the p of all others.
template <class T>
void detail::softmax_residual_rows(const T* p, const Targets<T>& targets, std::int64_t first,
                                   std::int64_t count, std::int64_t n, T scale, T* out) {
  dispatch_isa([&]() {
    if (targets.indices()) {
      simd_for(count * n, [&](std::int64_t i) { out[i] = scale * p[i]; });
      for (std::int64_t r = 0; r < count; ++r) {
        const std::int64_t c = targets.index(first + r);
        T& of_target = out[r * n + c];
        of_target =
            p[r * n + c] > static_cast<T>(kFarAhead)  // 0 less a sum of 0 is no -0, which would be nothing
                ? T{0} - static_cast<T>(sum_without(out + r * n, n, c))
                : of_target - scale;
      }
      return;
    }
    const DominantClasses<T> ahead(p, count, n);
    for (std::int64_t r = 0; r < count; ++r) {
      const T *const w = targets.weights(first + r), *const q = p + r * n;
      T* const to = out + r * n;
      const std::int64_t c = ahead.in(q);
      const T* const rows[2] = {w, q};
      T others[2] = {};  // the sums of the targets and of the p, but for those of c
      for (int i = 0; i < (c < n ? 2 : 1); ++i) others[i] = static_cast<T>(sum_without(rows[i], n, c));
      const T total = c < n ? others[0] + w[c] : others[0];
      if (total == T{0} && all_zero(w, n)) {
        std::fill_n(to, n, static_cast<T>(kNothing));
        continue;
      }
      simd_for(n, [&](std::int64_t j) { to[j] = q[j] * (scale * total) - scale * w[j]; });
      if (c < n) to[c] = scale * (q[c] * others[0] - w[c] * others[1]);
    }
  });
}
template void detail::softmax_residual_rows(const float*, const Targets<float>&, std::int64_t, std::int64_t,
                                            std::int64_t, float, float*);
template void detail::softmax_residual_rows(const double*, const Targets<double>&, std::int64_t, std::int64_t,
                                            std::int64_t, double, double*);

Tensor op::SoftmaxResidual::forward(const Tensor& x, const Tensor& t, Residuals<1>& r) const {
  const Classes classes = Classes::checked(name, "logits", x, t);
  const Tensor p = softmax(x.detach());
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T> {
    const T* const from = TensorAccess::data_as<T>(p);
    T* const to = TensorAccess::data_as<T>(y);
    const Targets<T> targets(t, classes);
    const std::int64_t n = classes.count;
    detail::parallel_ranges(classes.rows, classes.grain(), [&](std::int64_t begin, std::int64_t end) {
      detail::softmax_residual_rows(from + begin * n, targets, begin, end - begin, n, T{1}, to + begin * n);
    });
  });
  if (r.needed()) r[0] = p;
  return y;
}

void op::SoftmaxResidual::vjp(VjpContext<SoftmaxResidual>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  const std::size_t axis = ctx.input_shape(0).rank() - 1;
  const Tensor& g = ctx.grad_output();
  const Tensor p = softmax(ctx.input<0>());
  if (ctx.needs_grad(0)) {
    Tensor w = g;
    if (!classes.indices) {
      const Tensor t = ctx.input<1>();
      const auto of_row = [&](const Tensor& v) { return sum(v, axis, KeepDims::yes); };
      w = detail::contribution(of_row(abs(t)), detail::contribution(g, g * of_row(t)));
    }
    ctx.add(0, detail::contribution_along(w, axis, p * detail::centred(p, w, axis)));
  }
  if (ctx.needs_grad(1)) ctx.add(1, detail::contribution_along(g, axis, -detail::centred(p, g, axis)));
}

void op::SoftmaxResidual::vjp_fused(VjpContext<SoftmaxResidual>& ctx) {
  const Classes classes(ctx.input_shape(0), ctx.input_dtype(1));
  visit_floating(ctx.grad_output().dtype(), [&]<class T> {
    const std::int64_t n = classes.count;
    const T* const g = TensorAccess::data_as<T>(ctx.grad_output());
    const Tensor probabilities = ctx.residual<0>();
    const T* const p = TensorAccess::data_as<T>(probabilities);
    if (ctx.needs_grad(0)) {
      const Tensor t = ctx.input<1>();
      const Targets<T> targets(t, classes);
      write_blocks<T>(ctx, 0, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        dispatch_isa([&]() {
          const DominantClasses<T> ahead(p + first * n, count, n);
          for (std::int64_t r = 0; r < count; ++r) {
            const std::int64_t at = (first + r) * n;
            const T* const w = targets.indices() ? nullptr : targets.weights(first + r);
            T* const to = out + r * n;
            const T total = w ? static_cast<T>(detail::sum_of(w, n)) : T{1};
            if (total == T{0} && detail::all_zero(w, n)) {
              std::fill_n(to, n, static_cast<T>(detail::kNothing));
              continue;
            }
            detail::centre_row(p + at, g + at, n, ahead.in(p + at), to,
                               [&](std::int64_t j, T centred) { return p[at + j] * centred * total; });
          }
        });
      });
    }
    if (ctx.needs_grad(1))
      write_blocks<T>(ctx, 1, classes, [&](std::int64_t first, std::int64_t count, T* out) {
        dispatch_isa([&]() {
          const DominantClasses<T> ahead(p + first * n, count, n);
          for (std::int64_t r = 0; r < count; ++r) {
            const std::int64_t at = (first + r) * n;
            detail::centre_row(p + at, g + at, n, ahead.in(p + at), out + r * n,
                               [](std::int64_t, T centred) { return T{0} - centred; });
          }
        });
      });
  });
}

Tensor detail::softmax_residual(const Tensor& x, const Tensor& t) {
  return apply_op(op::SoftmaxResidual{}, x, t);
}

template const OpInfo& detail::info_of<op::SoftmaxResidual>();

}  // namespace tapegrad
