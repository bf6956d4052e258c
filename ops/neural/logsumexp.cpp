#include <bit>
#include <cmath>
#include <limits>

#include <tapegrad/ops/neural/loss.h>
#include <tapegrad/ops/tensor/scaling.h>

namespace tapegrad {

using namespace detail;

namespace op {

struct LogSumExp : Reduction {  // dy/dx = e^(x - y)
  static constexpr auto name = "logsumexp";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<LogSumExp>& ctx);
  static void vjp_fused(VjpContext<LogSumExp>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, LogSumExp{}, [](const Shape& x) { return SampleInput(x); });
    s.add(LogSumExp{{0b1, false}}, {SampleInput::of(Tensor::from({1e4, 1e4 - 1, -1e4}, f64))}, "large");
    s.uncertain_from(3);
    s.add(LogSumExp{{0b1, false}}, {SampleInput::of(Tensor::from({0, -20, -30}, f64))}, "one far ahead");
    s.uncertain_from(2);
  }
};

}  // namespace op

namespace {

/// The largest of the elements of each output. An infinite one counts as 0: infinity minus infinity is not a
/// number.
Tensor shift_of(const Tensor& x, const op::Reduction& r) {
  return changed(reduce_floating<MaximumReducer>(x, r),
                 [](auto v, std::int64_t) { return std::isinf(v) ? decltype(v){0} : v; });
}

/// Whether e^(x - y) has lost digits, those that y has after the point.
bool any_far(const Tensor& y) {
  return !all_hold(y, []<class T>(T v) { return v >= T{-32} && v <= T{32}; });
}

}  // namespace

Tensor op::LogSumExp::forward(const Tensor& x) const {
  require_floating(name, x);
  const Tensor largest = shift_of(x, *this);
  const Tensor sums = reduce_floating<ExponentialsReducer>(x, *this, &largest);
  // Near 1 the sum has lost the digits of all but the largest.
  const auto near_one = []<class T>(T sum) { return sum < T{1.25} && sum >= T{1}; };
  Tensor others;
  if (!all_hold(sums, [&](auto v) { return !near_one(v); }))
    others = reduce_floating<OtherExponentialsReducer>(x, *this, &largest);
  return changed(sums, [&]<class T>(T sum, std::int64_t o) {
    const T log_sum = near_one(sum) ? std::log1p(elements<T>(others)[o]) : std::log(sum);
    return log_sum + elements<T>(largest)[o];
  });
}

namespace {

/// The softmax along several axes at once.
Tensor softmax_over(const Tensor& x, AxisMask axes) {
  const std::int64_t n = reduced_count(x.shape(), axes);
  if (x.rank() == 0) return exp(x - x);
  if (std::has_single_bit(axes)) return softmax(x, std::countr_zero(axes));
  const ReducedInFront order(x.shape(), axes);
  const Tensor front = permute(x, order.to_front);
  return permute(reshape(softmax(reshape(front, Shape{n, x.size() / n}), 0), front.shape()), order.back);
}

}  // namespace

// The softmax, taken of x: a rounded y of a thousand would cost it three digits.
void op::LogSumExp::vjp(VjpContext<LogSumExp>& ctx) {
  const Tensor x = ctx.input<0>();
  const Tensor g = beside_input(ctx, ctx.grad_output());
  if (x.size() == 0) return ctx.add(0, x * 0);
  const Tensor y = ctx.output().detach();
  if (all_finite(y)) return ctx.add(0, contribution(g, g * softmax_over(x, ctx.op().axes)));
  // Beside an infinity e^(x - y), where of -infinity alone each is 0.
  const Tensor of_rest = exp(x - beside_input(ctx, where(ctx.output() == -HUGE_VAL, 0, ctx.output())));
  ctx.add(0, contribution(g, g * of_rest));
}
void op::LogSumExp::vjp_fused(VjpContext<LogSumExp>& ctx) {
  const Tensor x = ctx.input<0>();
  const Tensor& g = ctx.grad_output();
  // e^(x - shift) s
  const auto write = [&](const Tensor& shift, const Tensor& factor) {
    broadcast_grad(ctx, [&]<class T> {
      return [x = elements<T>(x), shift = elements<T>(shift), s = elements<T>(factor)](
                 std::int64_t i, std::int64_t o) { return s[o] * exp(Real<T>{x[i] - shift[o]}).v; };
    });
  };
  if (!any_far(ctx.output())) return write(ctx.output(), g);
  Tensor shift = shift_of(x, ctx.op());
  const Tensor factor =
      changed(reduce_floating<ExponentialsReducer>(x, ctx.op(), &shift), [&]<class T>(T sum, std::int64_t o) {
        const T of_output = elements<T>(g)[o];
        return sum > T{0} && std::isfinite(sum) ? of_output / sum : of_output;
      });
  shift = changed(shift,
                  [&]<class T>(T v, std::int64_t o) {  // a y of infinity stays: infinity less it is no number
                    const T y = elements<T>(ctx.output())[o];
                    return y > std::numeric_limits<T>::max() ? y : v;
                  });
  write(shift, factor);
}

Tensor logsumexp(const Tensor& x, const Axes& axes, KeepDims keep) {
  return apply_along<op::LogSumExp>(x, axes, keep);
}

template const OpInfo& detail::info_of<op::LogSumExp>();

}  // namespace tapegrad
