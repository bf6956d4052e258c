#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/loops/elementwise_sum.h>
#include <tapegrad/ops/map.h>
#include <tapegrad/ops/tensor/shape.h>

/// Elementwise functions of the user's own with the sum or mean of their results, as one operation:
///
///     Tensor loss = map_mean([](auto y, auto t) { return square(tanh(y) - t); }, y, t);
///
/// The same as mean(map(f, y, t)), but the results of f are never in memory: forward reads the inputs once, backward
/// once more for all gradients. Nothing is saved but the inputs. What f may be, <tapegrad/ops/map.h>
/// says.
namespace tapegrad {
namespace detail {

template <class F, std::size_t Inputs>
struct MapSum {
  static constexpr auto name = "map_sum";
  static constexpr auto saves = Map<F, Inputs>::saves;
  static constexpr bool composed = false;
  Map<F, Inputs> map;
  AxisMask axes = 0;  ///< that are reduced, of the shape that all inputs broadcast to
  bool mean = false;

  Tensor forward(std::span<const Tensor* const> in) const {
    std::array<Shape, Inputs> shapes;
    for (std::size_t i = 0; i < Inputs; ++i) {
      require_floating(name, *in[i]);
      require_same_dtype(name, *in[0], *in[i], "the first input", "another");
      shapes[i] = in[i]->shape();
    }
    const Extent e(shapes, *this);
    return reshape(elementwise_sum(kElementwise<Map<F, Inputs>>, &map, in, e.shape, e.sums, e.divisor),
                   e.result);
  }
  static void vjp_fused(VjpContext<MapSum>& ctx) {
    const Extent e(shapes_of(ctx), ctx.op());
    elementwise_sum_backward(kElementwise<Map<F, Inputs>>, &ctx.op().map, e.shape, e.sums, e.divisor,
                             ctx.elements());
  }
  static void vjp(VjpContext<MapSum>& ctx) { vjp_on_tensors(ctx, std::make_index_sequence<Inputs>()); }
  void require_unchanged(RuleContext& context) const {
    map.require_unchanged(context, mean ? "map_mean" : name);
  }
  void describe(AttributeVisitor& v) const { describe_axes(v, axes), v("mean", mean); }
  /// As of map.
  static void samples(Samples&) {}

 private:
  struct Extent {
    Shape shape;   ///< of all inputs, broadcast
    Shape sums;    ///< with 1 for each axis that is reduced
    Shape result;  ///< without them
    double divisor = 1;

    Extent(const std::array<Shape, Inputs>& shapes, const MapSum& op) : shape(shapes[0]) {
      for (std::size_t i = 1; i < Inputs; ++i) shape = broadcast(shape, shapes[i], name);
      sums = reduced_shape(shape, op.axes, true);
      result = reduced_shape(shape, op.axes, false);
      if (!op.mean) return;
      require_elements(shape, op.axes, "map_mean");
      divisor = static_cast<double>(reduced_count(shape, op.axes));
    }
  };
  static std::array<Shape, Inputs> shapes_of(const VjpContext<MapSum>& ctx) {
    std::array<Shape, Inputs> shapes;
    for (std::size_t i = 0; i < Inputs; ++i) shapes[i] = ctx.input_shape(i);
    return shapes;
  }
  template <std::size_t... I>
  static void vjp_on_tensors(VjpContext<MapSum>& ctx, std::index_sequence<I...>) {
    const Extent e(shapes_of(ctx), ctx.op());
    const Tensor g = broadcast_to(reshape(ctx.grad_output(), e.sums) / e.divisor, e.shape);
    const auto one = [&]<std::size_t G>(std::integral_constant<std::size_t, G>) {
      if (ctx.needs_grad(G))
        ctx.add(G, sum_to_shape(elementwise_contribution<Map<F, Inputs>, G>(
                                    ctx.op().map, g, ctx.template input<I>()..., NotSaved{}),
                                ctx.input_shape(G)));
    };
    (one(std::integral_constant<std::size_t, I>{}), ...);
  }
};

template <class F, class... T>
Tensor map_sum_of(const F& f, const Axes& axes, bool mean, const T&... x) {
  static_assert(sizeof...(T) <= kMaxArity, "map_sum: one to eight tensors");
  static_assert(std::is_trivially_copyable_v<F>,
                "map_sum: capture numbers by value; the function is copied into the tape as bytes");
  const std::size_t rank = std::max({x.shape().rank()...});
  MapSum<F, sizeof...(T)> op{{f}, axes.mask(rank, "map_sum"), mean};
  op.map.remember({&x...});
  return apply_op(op, x...);
}

}  // namespace detail

/// The sum of f(x, ...) over these axes of the shape that all tensors broadcast to, which the result lacks. Throws as
/// map does, and ArgumentError for axes that do not exist.
template <class F, std::convertible_to<Tensor>... T>
Tensor map_sum(const F& f, const Axes& axes, const Tensor& x, const T&... more) {
  return detail::map_sum_of(f, axes, false, x, static_cast<const Tensor&>(more)...);
}
/// Over all axes: a scalar.
template <class F, std::convertible_to<Tensor>... T>
Tensor map_sum(const F& f, const Tensor& x, const T&... more) {
  return detail::map_sum_of(f, Axes::all(), false, x, static_cast<const Tensor&>(more)...);
}

/// The same with the mean. Throws ArgumentError where there is no element to take it of.
template <class F, std::convertible_to<Tensor>... T>
Tensor map_mean(const F& f, const Axes& axes, const Tensor& x, const T&... more) {
  return detail::map_sum_of(f, axes, true, x, static_cast<const Tensor&>(more)...);
}
template <class F, std::convertible_to<Tensor>... T>
Tensor map_mean(const F& f, const Tensor& x, const T&... more) {
  return detail::map_sum_of(f, Axes::all(), true, x, static_cast<const Tensor&>(more)...);
}

}  // namespace tapegrad
