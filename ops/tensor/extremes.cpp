#include <tapegrad/ops/tensor/reduction.h>

namespace tapegrad {

using namespace detail;

namespace op {

struct Max : Reduction {  // dy/dx = (x == y) / how many are
  static constexpr auto name = "max";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  Tensor branches(std::span<const Tensor* const> in) const;  // which elements are the result
  static void vjp(VjpContext<Max>& ctx);
  static void vjp_fused(VjpContext<Max>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, Max{}, [](const Shape& x) { return SampleInput::distinct(x); });
    s.convention(Max{{.axes = 0b1}}, {{3, 3, 1, 3, 3}}, {{0.25, 0.25, 0, 0.25, 0.25}});
  }
};

struct Min : Reduction {
  static constexpr auto name = "min";
  static constexpr auto saves = saves_for(kIn0 | kOut);
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  Tensor branches(std::span<const Tensor* const> in) const;  // which elements are the result
  static void vjp(VjpContext<Min>& ctx);
  static void vjp_fused(VjpContext<Min>& ctx);
  static void samples(Samples& s) {
    reduction_samples(s, Min{}, [](const Shape& x) { return SampleInput::distinct(x); });
    s.convention(Min{{.axes = 0b1}}, {{1, 1, 3, 1, 1}}, {{0.25, 0.25, 0, 0.25, 0.25}});
  }
};

struct ArgMax : Reduction {
  static constexpr auto name = "argmax";
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void samples(Samples& s) {
    reduction_samples(s, ArgMax{}, [](const Shape& x) { return SampleInput::distinct(x); });
  }
};

struct ArgMin : Reduction {
  static constexpr auto name = "argmin";
  static constexpr std::uint8_t max_order = 0;
  static constexpr bool composed = false;
  Tensor forward(const Tensor& x) const;
  static void samples(Samples& s) {
    reduction_samples(s, ArgMin{}, [](const Shape& x) { return SampleInput::distinct(x); });
  }
};

}  // namespace op

namespace {

template <template <class> class Reducer>
Tensor extreme_of(const Tensor& x, const op::Reduction& r, const char* op) {
  require_elements(x.shape(), r.axes, op);
  return reduce_any<Reducer>(x, r);
}

template <template <class> class Reducer>
Tensor position_of(const Tensor& x, const op::Reduction& r, const char* op) {
  const Tensor extreme = extreme_of<Reducer>(x, r, op);
  Tensor y = Tensor::empty(extreme.shape(), i64);
  if (x.size() == 0) return y;
  visit_dtype(x.dtype(), [&]<class T> {
    find_first(nest_of(x.shape(), r.axes), TensorAccess::data_as<T>(x), TensorAccess::data_as<T>(extreme),
               TensorAccess::data_as<std::int64_t>(y));
  });
  return y;
}

template <class Op>
void share_among_equals(VjpContext<Op>& ctx) {
  const Tensor x = ctx.template input<0>();
  const Tensor is_extreme = equal(x, beside_input(ctx, ctx.output()));
  const Tensor share = beside_input(ctx, ctx.grad_output()) / sum_over(is_extreme, ctx.op().axes);
  const Tensor g = beside_input(ctx, ctx.grad_output());
  const Tensor selected = where(is_extreme, contribution(g, share), kNothing);
  const Tensor y = beside_input(ctx, ctx.output().detach());
  if (all_hold(y, [](auto v) { return v == v; })) return ctx.add(0, selected);
  ctx.add(0, where(y == y, selected, contribution(g, g * y)));  // of a NaN none is equal to the result
}

/// The share where an element is the result, else 0.
auto share_of_each(const Tensor& x, const Tensor& y, const Tensor& share) {
  return [&]<class T> {
    return [x = elements<T>(x), y = elements<T>(y), s = elements<T>(share)](std::int64_t i, std::int64_t o) {
      return static_cast<T>(x[i] == y[o]) * s[o];
    };
  };
}

template <class Op>
void share_among_equals_fused(VjpContext<Op>& ctx) {
  const Tensor x = ctx.template input<0>();
  const Tensor y = ctx.output();
  const Tensor share = ctx.grad_output() / reduce_floating<EqualsReducer>(x, ctx.op(), &y);
  broadcast_grad(ctx, share_of_each(x, y, share));
}

}  // namespace

Tensor op::Max::forward(const Tensor& x) const { return extreme_of<MaximumReducer>(x, *this, name); }
void op::Max::vjp(VjpContext<Max>& ctx) { share_among_equals(ctx); }
void op::Max::vjp_fused(VjpContext<Max>& ctx) { share_among_equals_fused(ctx); }

Tensor op::Min::forward(const Tensor& x) const { return extreme_of<MinimumReducer>(x, *this, name); }
void op::Min::vjp(VjpContext<Min>& ctx) { share_among_equals(ctx); }
void op::Min::vjp_fused(VjpContext<Min>& ctx) { share_among_equals_fused(ctx); }

Tensor op::Max::branches(std::span<const Tensor* const> in) const {
  return equal(*in[0], op::Max{{.axes = axes, .keepdims = true}}.forward(*in[0]));
}
Tensor op::Min::branches(std::span<const Tensor* const> in) const {
  return equal(*in[0], op::Min{{.axes = axes, .keepdims = true}}.forward(*in[0]));
}

Tensor op::ArgMax::forward(const Tensor& x) const { return position_of<MaximumReducer>(x, *this, name); }
Tensor op::ArgMin::forward(const Tensor& x) const { return position_of<MinimumReducer>(x, *this, name); }

Tensor max(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Max>(x, axes, keep); }
Tensor min(const Tensor& x, const Axes& axes, KeepDims keep) { return apply_along<op::Min>(x, axes, keep); }
Tensor argmax(const Tensor& x, const Axes& axes, KeepDims keep) {
  return apply_along<op::ArgMax>(x, axes, keep);
}
Tensor argmin(const Tensor& x, const Axes& axes, KeepDims keep) {
  return apply_along<op::ArgMin>(x, axes, keep);
}

template const OpInfo& detail::info_of<op::Max>();
template const OpInfo& detail::info_of<op::Min>();
template const OpInfo& detail::info_of<op::ArgMax>();
template const OpInfo& detail::info_of<op::ArgMin>();

}  // namespace tapegrad
