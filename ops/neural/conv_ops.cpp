#include <tapegrad/ops/neural/conv_ops.h>

#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/neural/conv_operands.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::and_other;
using detail::conv_shape;
using detail::ConvShape;
using detail::data_or_null;
using detail::Destination;
using detail::Gradient;
using detail::is_left;
using detail::is_right;
using detail::require_bias;
using detail::require_groups;
using detail::require_result;
using detail::shape_of_conv;
using detail::TensorAccess;
using detail::Window2d;

namespace {

template <class T>
const T* data(const Tensor& t) {
  return TensorAccess::data_as<T>(t);
}

/// A tensor of this shape that f(Destination<T>) writes.
template <class F>
Tensor written(const Shape& shape, Dtype dtype, const F& f) {
  Tensor t = Tensor::empty(shape, dtype);
  visit_floating(dtype, [&]<class T> { f(Destination<T>{TensorAccess::data_as<T>(t), false}); });
  return t;
}

// ---- recorded rules ----

template <class Op>
Tensor apply_to(const Op& op, const Tensor& a, const Tensor& b) {
  if constexpr (requires { op.forward(a, b); })
    return apply_op(op, a, b);
  else
    return apply_op(op, a, b, Tensor());  // without a bias
}

/// 1 for each element of a gradient that contributes something, else 0.
Tensor contributors(const Tensor& g) {
  return g.tracked() ? 1 - detail::is_nothing(g) : where(g == 0, Tensor::full(g.shape(), 0, g.dtype()), 1);
}

/// op of a and b, of which one is a gradient, or both are: nothing, where it meets no element but such as contribute
/// nothing.
template <class Op>
Tensor contribution_of(const Op& op, const Tensor& a, const Tensor& b) {
  Tensor result = apply_to(op, a, b);
  const auto nothing_beyond = [&](const Tensor& reached) {
    result = where(reached == 0, detail::kNothing, result);
  };
  const auto ones = [](const Tensor& t) { return Tensor::full(t.shape(), 1, t.dtype()); };
  if (is_left(op.gradient) && detail::has_nothing(a)) nothing_beyond(apply_to(op, contributors(a), ones(b)));
  if (is_right(op.gradient) && detail::has_nothing(b)) nothing_beyond(apply_to(op, ones(a), contributors(b)));
  return result;
}

detail::Size2d size_of_images(const Shape& s) { return {s[2], s[3]}; }

}  // namespace

void detail::describe_conv(AttributeVisitor& v, const Window2d& w, std::int64_t groups, Gradient gradient) {
  describe_steps(v, w);
  v("dilation", std::span<const std::int64_t>(w.dilation));
  v("groups", groups);
  if (gradient != Gradient::none) v("gradient", static_cast<std::int64_t>(gradient));
}

// ---- conv2d ----

void op::Conv2d::describe(AttributeVisitor& v) const { detail::describe_conv(v, window, groups, gradient); }

Tensor op::Conv2d::forward(const Tensor& x, const Tensor& w, const Tensor& bias) const {
  const Shape shape = shape_of_conv(name, window, groups, x, w, bias);
  return written(shape, x.dtype(), [&]<class T>(Destination<T> y) {
    write_y(conv_shape(window, groups, x.shape(), shape), gradient, data<T>(x), data<T>(w),
            data_or_null<T>(bias), y);
  });
}

Tensor detail::gradient_of_x(const op::Conv2d& op, const Shape& x, const Tensor& w, const Tensor& g) {
  const Gradient gradient = and_other(Gradient::left, is_right(op.gradient));
  return contribution_of(op::ConvTranspose2d{op.window, op.groups, size_of_images(x), gradient}, g, w);
}

Tensor detail::gradient_of_w(const op::Conv2d& op, const Tensor& x, const Tensor& g) {
  const Gradient gradient = and_other(Gradient::right, is_left(op.gradient));
  return contribution_of(op::ConvWeight2d{op.window, op.groups, gradient}, x, g);
}

namespace {

/// The rule of a convolution `op`, with its output's gradient g.
template <class Context>
void add_conv_gradients(Context& ctx, const op::Conv2d& op, const Tensor& g) {
  if (ctx.needs_grad(0))
    ctx.add(0, detail::gradient_of_x(op, ctx.input_shape(0), ctx.template input<1>(), g));
  if (ctx.needs_grad(1)) ctx.add(1, detail::gradient_of_w(op, ctx.template input<0>(), g));
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, {0, 2, 3}));
}

/// The same of input and weight, in place.
template <class Context>
void accumulate_conv_gradients(Context& ctx, const op::Conv2d& op, const Tensor& g) {
  const ConvShape s = conv_shape(op.window, op.groups, ctx.input_shape(0), g.shape());
  visit_floating(g.dtype(), [&]<class T> {
    if (ctx.needs_grad(0)) {
      const Tensor w = ctx.template input<1>();
      ctx.template accumulate<T>(0, [&](Destination<T> to) {
        write_x<T>(s, and_other(Gradient::left, is_right(op.gradient)), data<T>(g), data<T>(w), nullptr, to);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor x = ctx.template input<0>();
      ctx.template accumulate<T>(1, [&](Destination<T> to) {
        write_w(s, and_other(Gradient::right, is_left(op.gradient)), data<T>(x), data<T>(g), to);
      });
    }
  });
}

}  // namespace

void op::Conv2d::vjp(VjpContext<Conv2d>& ctx) { add_conv_gradients(ctx, ctx.op(), ctx.grad_output()); }

void op::Conv2d::vjp_fused(VjpContext<Conv2d>& ctx) {
  accumulate_conv_gradients(ctx, ctx.op(), ctx.grad_output());
  if (ctx.needs_grad(2)) ctx.add(2, sum(ctx.grad_output(), {0, 2, 3}));
}

// ---- conv2d_relu ----

void op::Conv2dRelu::describe(AttributeVisitor& v) const {
  detail::describe_conv(v, window, groups, Gradient::none);
}

Tensor op::Conv2dRelu::forward(const Tensor& x, const Tensor& w, const Tensor& bias) const {
  const Shape shape = shape_of_conv(name, window, groups, x, w, bias);
  return written(shape, x.dtype(), [&]<class T>(Destination<T> y) {
    conv(conv_shape(window, groups, x.shape(), shape), TensorAccess::data_as<T>(x),
         TensorAccess::data_as<T>(w), data_or_null<T>(bias), y, detail::Epilogue::relu);
  });
}

Tensor op::Conv2dRelu::branches(std::span<const Tensor* const> in) const {
  return apply_op(*this, *in[0], *in[1], *in[2]) > 0;
}

void op::Conv2dRelu::vjp(VjpContext<Conv2dRelu>& ctx) {
  const Conv2dRelu& op = ctx.op();
  add_conv_gradients(ctx, Conv2d{op.window, op.groups},
                     where(ctx.output() > 0, ctx.grad_output(), detail::kNothing));
}

namespace {

/// The gradient before a ReLU of so many planes, from g behind it and its results y; the sum of each.
template <class T>
void pass_relu(const T* y, const T* g, std::int64_t planes, std::int64_t plane, T* to, T* sums) {
  detail::parallel_ranges(planes, detail::grain_for(plane), [&](std::int64_t begin, std::int64_t end) {
    detail::dispatch_isa([&] {
      for (std::int64_t p = begin; p < end; ++p) {
        const T *const out = y + p * plane, *const from = g + p * plane;
        T* const here = to + p * plane;
        detail::simd_for(plane, [&](std::int64_t i) {
          here[i] = out[i] > T{0} ? from[i] : static_cast<T>(detail::kNothing);
        });
        sums[p] = static_cast<T>(detail::sum_of(here, plane));
      }
    });
  });
}

}  // namespace

void op::Conv2dRelu::vjp_fused(VjpContext<Conv2dRelu>& ctx) {
  const Tensor y = ctx.output();
  const Tensor& g = ctx.grad_output();
  const Shape shape = y.shape();
  const std::int64_t plane = shape[2] * shape[3];
  Tensor sums = Tensor::empty({shape[0], shape[1]}, g.dtype());
  visit_floating(g.dtype(), [&]<class T> {
    const auto pass = [&](std::int64_t first, std::int64_t images, T* dy) {
      const std::int64_t before = first * shape[1];
      pass_relu(data<T>(y) + before * plane, data<T>(g) + before * plane, images * shape[1], plane, dy,
                TensorAccess::data_as<T>(sums) + before);
    };
    accumulate_by_images<T>(ctx, conv_shape(ctx.op().window, ctx.op().groups, ctx.input_shape(0), shape),
                            pass);
  });
  if (ctx.needs_grad(2)) ctx.add(2, sum(sums, {0}));
}

// ---- conv_transpose2d ----

void op::ConvTranspose2d::describe(AttributeVisitor& v) const {
  detail::describe_conv(v, window, groups, gradient);
  v("size", std::span<const std::int64_t>(size));
}

Tensor op::ConvTranspose2d::forward(const Tensor& y, const Tensor& w, const Tensor& bias) const {
  detail::require_same_dtype(name, y, w, "input", "weight");
  detail::require_floating(name, y, "operands");
  require_groups(name, "the input", y, 1, groups);
  if (y.shape()[1] != w.shape()[0])
    throw ShapeError(fmt::format("{}: input {} has {} channels, weight {} expects {}", op_label(name),
                                 to_string(y.shape()), y.shape()[1], to_string(w.shape()), w.shape()[0]));
  const std::int64_t channels = w.shape()[1] * groups;
  require_bias(name, y, bias, channels, w);
  const Shape shape{y.shape()[0], channels, size[0], size[1]};
  require_result(name, shape, y.shape(), window);
  return written(shape, y.dtype(), [&]<class T>(Destination<T> x) {
    write_x(conv_shape(window, groups, shape, y.shape()), gradient, data<T>(y), data<T>(w),
            data_or_null<T>(bias), x);
  });
}

void op::ConvTranspose2d::vjp(VjpContext<ConvTranspose2d>& ctx) {
  const ConvTranspose2d& op = ctx.op();
  const Tensor& g = ctx.grad_output();
  if (ctx.needs_grad(0))
    ctx.add(0, contribution_of(Conv2d{op.window, op.groups, and_other(Gradient::left, is_right(op.gradient))},
                               g, ctx.input<1>()));
  if (ctx.needs_grad(1))
    ctx.add(1, contribution_of(
                   ConvWeight2d{op.window, op.groups, and_other(Gradient::left, is_left(op.gradient))}, g,
                   ctx.input<0>()));
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, {0, 2, 3}));
}

void op::ConvTranspose2d::vjp_fused(VjpContext<ConvTranspose2d>& ctx) {
  const ConvTranspose2d& op = ctx.op();
  const Tensor& g = ctx.grad_output();
  const ConvShape s = conv_shape(op.window, op.groups, g.shape(), ctx.input_shape(0));
  visit_floating(g.dtype(), [&]<class T> {
    if (ctx.needs_grad(0)) {
      const Tensor w = ctx.input<1>();
      ctx.accumulate<T>(0, [&](Destination<T> to) {
        write_y<T>(s, and_other(Gradient::left, is_right(op.gradient)), data<T>(g), data<T>(w), nullptr, to);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor y = ctx.input<0>();
      ctx.accumulate<T>(1, [&](Destination<T> to) {
        write_w(s, and_other(Gradient::left, is_left(op.gradient)), data<T>(g), data<T>(y), to);
      });
    }
  });
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, {0, 2, 3}));
}

// ---- conv_weight2d ----

void op::ConvWeight2d::describe(AttributeVisitor& v) const {
  detail::describe_conv(v, window, groups, gradient);
}

Tensor op::ConvWeight2d::forward(const Tensor& x, const Tensor& y) const {
  detail::require_same_dtype(name, x, y, "input", "result");
  detail::require_floating(name, x, "operands");
  require_groups(name, "the input", x, 1, groups);
  require_groups(name, "the result", y, 1, groups);
  if (x.shape()[0] != y.shape()[0])
    throw ShapeError(fmt::format("{}: the input {} and the result {} have different numbers of images",
                                 op_label(name), to_string(x.shape()), to_string(y.shape())));
  require_result(name, x.shape(), y.shape(), window);
  const Shape shape{y.shape()[1], x.shape()[1] / groups, window.kernel[0], window.kernel[1]};
  return written(shape, x.dtype(), [&]<class T>(Destination<T> w) {
    write_w(conv_shape(window, groups, x.shape(), y.shape()), gradient, data<T>(x), data<T>(y), w);
  });
}

void op::ConvWeight2d::vjp(VjpContext<ConvWeight2d>& ctx) {
  const ConvWeight2d& op = ctx.op();
  const Tensor& g = ctx.grad_output();
  if (ctx.needs_grad(0))
    ctx.add(0, contribution_of(ConvTranspose2d{op.window, op.groups, size_of_images(ctx.input_shape(0)),
                                               and_other(Gradient::right, is_right(op.gradient))},
                               ctx.input<1>(), g));
  if (ctx.needs_grad(1))
    ctx.add(1, contribution_of(Conv2d{op.window, op.groups, and_other(Gradient::right, is_left(op.gradient))},
                               ctx.input<0>(), g));
}

void op::ConvWeight2d::vjp_fused(VjpContext<ConvWeight2d>& ctx) {
  const ConvWeight2d& op = ctx.op();
  const Tensor& g = ctx.grad_output();
  const ConvShape s = conv_shape(op.window, op.groups, ctx.input_shape(0), ctx.input_shape(1));
  visit_floating(g.dtype(), [&]<class T> {
    if (ctx.needs_grad(0)) {
      const Tensor y = ctx.input<1>();
      ctx.accumulate<T>(0, [&](Destination<T> to) {
        write_x<T>(s, and_other(Gradient::right, is_right(op.gradient)), data<T>(y), data<T>(g), nullptr, to);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor x = ctx.input<0>();
      ctx.accumulate<T>(1, [&](Destination<T> to) {
        write_y<T>(s, and_other(Gradient::right, is_left(op.gradient)), data<T>(x), data<T>(g), nullptr, to);
      });
    }
  });
}

template const OpInfo& detail::info_of<op::Conv2d>();
template const OpInfo& detail::info_of<op::Conv2dRelu>();
template const OpInfo& detail::info_of<op::ConvTranspose2d>();
template const OpInfo& detail::info_of<op::ConvWeight2d>();

}  // namespace tapegrad
