#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/loops/reduce.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

/// What the reductions share: their attributes, shapes, loops, gradients and samples.
namespace tapegrad {

namespace op {

/// The attributes of a reduction.
struct Reduction {
  AxisMask axes = 0;
  bool keepdims = false;
  void describe(AttributeVisitor& v) const { detail::describe_axes(v, axes), v("keepdims", keepdims); }
};

/// Every kind of axes a reduction may meet, over sizes beyond a block of its loops; of `everything` by several threads.
template <class Op>
void reduction_samples(Samples& s, Op op, SampleInput (*input)(const Shape&),
                       const Shape& everything = {263, 263}) {
  const auto add = [&](AxisMask axes, bool keepdims, const Shape& shape) {
    op.axes = axes;
    op.keepdims = keepdims;
    s.add(op, {input(shape)});
  };
  add(0b1, false, {7});          // everything
  add(0b1, true, {1031});        // more than a block
  add(0b11, false, {3, 5});      // everything, of two axes
  add(0b10, false, {3, 5});      // a run
  add(0b01, true, {5, 3});       // narrow rows
  add(0b01, false, {300, 2});    // the same, many
  add(0b01, false, {67, 35});    // rows
  add(0b010, false, {2, 5, 3});  // the middle
  add(0b101, true, {3, 4, 5});   // all but the middle
  add(0b1010, false, {2, 3, 2, 3});
  add(0b10, false, {131, 263});  // for several threads
  add(0b01, false, {263, 131});
  add(0b11, false, everything);
}

}  // namespace op

namespace detail {

/// Orders of axes: that with the reduced ones in front, and from there back.
struct ReducedInFront {
  std::vector<std::int64_t> to_front;
  std::vector<std::int64_t> back;

  ReducedInFront(const Shape& shape, AxisMask axes) : back(shape.rank()) {
    for (const bool reduced : {true, false})
      for (std::size_t i = 0; i < shape.rank(); ++i)
        if (has_axis(axes, i) == reduced) {
          back[i] = static_cast<std::int64_t>(to_front.size());
          to_front.push_back(static_cast<std::int64_t>(i));
        }
  }
};

/// The elements of x and the reduction's outputs.
inline ReductionNest nest_of(const Shape& shape, AxisMask axes) {
  // Not broadcast_nest with the reduced shape: a small reduction would take longer to set up than to compute.
  Strides from;
  Strides to;
  std::int64_t elements = 1;
  std::int64_t outputs = 1;
  for (std::size_t i = shape.rank(); i-- > 0;) {
    from[i] = elements;
    elements *= shape[i];
    to[i] = has_axis(axes, i) ? 0 : outputs;
    if (!has_axis(axes, i)) outputs *= shape[i];
  }
  ReductionNest nest;
  for (std::size_t i = 0; i < shape.rank(); ++i) nest.axis(shape[i], {from[i], to[i]});
  return nest;
}

template <template <class> class Reducer, class T>
void reduce_into(Tensor& y, const Tensor& x, AxisMask axes, const Tensor* parameter = nullptr) {
  T* out = TensorAccess::data_as<T>(y);
  if (x.size() == 0) {
    std::fill_n(out, y.size(), static_cast<T>(Reducer<T>::kIdentity + T{0}));  // not -0
    return;
  }
  reduce<Reducer>(nest_of(x.shape(), axes), TensorAccess::data_as<T>(x),
                  parameter ? TensorAccess::data_as<T>(*parameter) : nullptr, out);
}

template <template <class> class Reducer>
Tensor reduce_any(const Tensor& x, const op::Reduction& r) {
  Tensor y = Tensor::empty(reduced_shape(x.shape(), r.axes, r.keepdims), x.dtype());
  visit_dtype(x.dtype(), [&]<class T> { reduce_into<Reducer, T>(y, x, r.axes); });
  return y;
}

template <template <class> class Reducer>
Tensor reduce_floating(const Tensor& x, const op::Reduction& r, const Tensor* parameter = nullptr) {
  Tensor y = Tensor::empty(reduced_shape(x.shape(), r.axes, r.keepdims), x.dtype());
  visit_floating(x.dtype(), [&]<class T> { reduce_into<Reducer, T>(y, x, r.axes, parameter); });
  return y;
}

/// y[i] = f(y[i], i) in place, on a tensor that nobody else has seen.
template <class F>
Tensor changed(Tensor y, F&& f) {
  visit_floating(y.dtype(), [&]<class T> {
    T* v = TensorAccess::data_as<T>(y);
    for (std::int64_t i = 0; i < y.size(); ++i) v[i] = f(v[i], i);
  });
  return y;
}

/// A tensor of the output's shape with the reduced axes back, so that it broadcasts against x.
template <class Op>
Tensor beside_input(const VjpContext<Op>& ctx, const Tensor& t) {
  return ctx.op().keepdims ? t : reshape(t, reduced_shape(ctx.input_shape(0), ctx.op().axes, true));
}

/// The elements of a tensor for a loop that runs over `T`.
template <class T>
const T* elements(const Tensor& t) {
  return TensorAccess::data_as<T>(t);
}

/// Writes f(element, its output's place) for each element of the input, but the output's incoming gradient g where that
/// is 0, whatever f is there. Not a template of the op: those that share an f share its loops.
template <class T, class F>
void broadcast_contributions(const ReductionNest& nest, const Tensor& g, Destination<T> to, const F& f) {
  if (all_hold(g, [](auto v) { return v != 0; })) return broadcast_grad(nest, to, f);
  broadcast_grad(nest, to, [f, g = elements<T>(g)](std::int64_t i, std::int64_t o) {
    return vm::choose(g[o] == T{0}, g[o], f(i, o));
  });
}

/// Writes the gradient of x, first-order only: f.operator()<T>() is the function of an element and its output's place
/// that broadcast_contributions takes.
template <class Op, class F>
void broadcast_grad(VjpContext<Op>& ctx, const F& f) {
  const Shape shape = ctx.input_shape(0);
  if (shape.size() == 0) return ctx.add(0, Tensor::zeros(shape, ctx.input_dtype(0)));
  visit_floating(ctx.input_dtype(0), [&]<class T> {
    ctx.template accumulate<T>(0, [&](Destination<T> to) {
      broadcast_contributions(nest_of(shape, ctx.op().axes), ctx.grad_output(), to,
                              f.template operator()<T>());
    });
  });
}

/// f is g, the same for each element: of sum, and of mean where it is divided already.
inline auto same_for_each(const Tensor& g) {
  return [&g]<class T> { return [g = elements<T>(g)](std::int64_t, std::int64_t o) { return g[o]; }; };
}

/// What a user calls: the op along these axes.
template <class Op, class... More>
Tensor apply_along(const Tensor& x, const Axes& axes, KeepDims keep, More... more) {
  return apply_op(Op{{axes_of(x, axes, Op::name), keep == KeepDims::yes}, more...}, x);
}

/// The sum and the mean over a mask of axes, as operations, the axes kept.
Tensor sum_over(const Tensor& x, AxisMask axes);
Tensor mean_over(const Tensor& x, AxisMask axes);

}  // namespace detail
}  // namespace tapegrad
