#include <tapegrad/ops/neural/conv_ops.h>

#include <span>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/contribution.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad {

using detail::and_other;
using detail::ConvShape;
using detail::Destination;
using detail::Gradient;
using detail::is_left;
using detail::is_right;
using detail::TensorAccess;
using detail::Window2d;

namespace {

// ---- shapes ----

ConvShape conv_shape(const Window2d& window, std::int64_t groups, const Shape& x, const Shape& y) {
  return {x[0], groups, x[1] / groups, y[1] / groups, {window, 0, x[2], y[2]}, {window, 1, x[3], y[3]}};
}

/// Throws unless the channels of an operand, along `axis`, are equally many in each group.
void require_groups(const char* op, const char* what, const Tensor& t, std::size_t axis,
                    std::int64_t groups) {
  if (groups < 1)
    throw ArgumentError(fmt::format("{}: groups is {}; it must be at least 1", op_label(op), groups));
  if (t.shape()[axis] % groups != 0)
    throw ShapeError(fmt::format("{}: {} {} has {} channels, which {} groups cannot share equally",
                                 op_label(op), what, to_string(t.shape()), t.shape()[axis], groups));
}

void require_bias(const char* op, const Tensor& x, const Tensor& bias, std::int64_t channels,
                  const Tensor& w) {
  if (!bias.defined()) return;
  detail::require_same_dtype(op, x, bias, "input", "bias");
  if (bias.rank() != 1 || bias.size() != channels)
    throw ShapeError(fmt::format("{}: bias {} does not fit weight {}, which expects [{}]", op_label(op),
                                 to_string(bias.shape()), to_string(w.shape()), channels));
}

/// Throws unless windows over x make the images of y.
void require_result(const char* op, const Shape& x, const Shape& y, const Window2d& window) {
  const detail::Size2d size = detail::windows_of(op, x, window);
  if (size[0] != y[2] || size[1] != y[3])
    throw ShapeError(fmt::format("{}: windows over {} make images of {} x {}, not those of {}", op_label(op),
                                 to_string(x), size[0], size[1], to_string(y)));
}

/// That of conv2d. Throws for operands that do not fit.
Shape shape_of_result(const char* op, const Window2d& window, std::int64_t groups, const Tensor& x,
                      const Tensor& w, const Tensor& bias) {
  detail::require_same_dtype(op, x, w, "input", "weight");
  detail::require_floating(op, x, "operands");
  require_groups(op, "the input", x, 1, groups);
  require_groups(op, "the weight", w, 0, groups);
  if (x.shape()[1] != w.shape()[1] * groups)
    throw ShapeError(fmt::format("{}: input {} has {} channels, weight {} with groups {} expects {}",
                                 op_label(op), to_string(x.shape()), x.shape()[1], to_string(w.shape()),
                                 groups, w.shape()[1] * groups));
  require_bias(op, x, bias, w.shape()[0], w);
  const detail::Size2d size = detail::windows_of(op, x.shape(), window);
  return {x.shape()[0], w.shape()[0], size[0], size[1]};
}

// ---- values ----

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? TensorAccess::data_as<T>(t) : nullptr;
}

template <class T>
void write_y(const ConvShape& s, Gradient gradient, const Tensor& x, const Tensor& w, const Tensor& bias,
             Destination<T> y) {
  const T* const from = TensorAccess::data_as<T>(x);
  const T* const weight = TensorAccess::data_as<T>(w);
  const T* const b = data_or_null<T>(bias);
  const auto run = [&](Destination<T> to) { conv(s, from, weight, b, to); };
  if (gradient == Gradient::none) return run(y);  // 0 around the images is a number like others
  gradient_conv(
      gradient, from, s.input_size(), weight, s.weight_size(), y, s.output_size(), run,
      [&](const auto& f) { for_each_term(s, [&](auto i, auto k, auto j) { f(j, i, k); }); },
      [&](std::int64_t i) { return b ? b[i / s.output_plane() % (s.groups * s.out)] : T{0}; });
}

template <class T>
void write_x(const ConvShape& s, Gradient gradient, const Tensor& y, const Tensor& w, const Tensor& bias,
             Destination<T> x) {
  const T* const from = TensorAccess::data_as<T>(y);
  const T* const weight = TensorAccess::data_as<T>(w);
  const T* const b = data_or_null<T>(bias);
  gradient_conv(
      gradient, from, s.output_size(), weight, s.weight_size(), x, s.input_size(),
      [&](Destination<T> to) { conv_transpose(s, from, weight, b, to); },
      [&](const auto& f) { for_each_term(s, [&](auto i, auto k, auto j) { f(i, j, k); }); },
      [&](std::int64_t i) { return b ? b[i / s.input_plane() % (s.groups * s.in)] : T{0}; });
}

template <class T>
void write_w(const ConvShape& s, Gradient gradient, const Tensor& x, const Tensor& y, Destination<T> w) {
  const T* const left = TensorAccess::data_as<T>(x);
  const T* const right = TensorAccess::data_as<T>(y);
  gradient_conv(
      gradient, left, s.input_size(), right, s.output_size(), w, s.weight_size(),
      [&](Destination<T> to) { conv_weight(s, left, right, to); },
      [&](const auto& f) { for_each_term(s, [&](auto i, auto k, auto j) { f(k, i, j); }); },
      [](std::int64_t) { return T{0}; });
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
  const Shape shape = shape_of_result(name, window, groups, x, w, bias);
  return written(shape, x.dtype(), [&]<class T>(Destination<T> y) {
    write_y(conv_shape(window, groups, x.shape(), shape), gradient, x, w, bias, y);
  });
}

namespace {

/// The rule of a convolution `op`, with its output's gradient g.
template <class Context>
void add_conv_gradients(Context& ctx, const op::Conv2d& op, const Tensor& g) {
  using namespace op;
  if (ctx.needs_grad(0))
    ctx.add(0, contribution_of(ConvTranspose2d{op.window, op.groups, size_of_images(ctx.input_shape(0)),
                                               and_other(Gradient::left, is_right(op.gradient))},
                               g, ctx.template input<1>()));
  if (ctx.needs_grad(1))
    ctx.add(1, contribution_of(
                   ConvWeight2d{op.window, op.groups, and_other(Gradient::right, is_left(op.gradient))},
                   ctx.template input<0>(), g));
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
        write_x(s, and_other(Gradient::left, is_right(op.gradient)), g, w, Tensor(), to);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor x = ctx.template input<0>();
      ctx.template accumulate<T>(1, [&](Destination<T> to) {
        write_w(s, and_other(Gradient::right, is_left(op.gradient)), x, g, to);
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
  const Shape shape = shape_of_result(name, window, groups, x, w, bias);
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

/// Makes g, the gradient of y behind a ReLU, the one before it; the sums of its planes, [n, o].
Tensor pass_relu(const Tensor& y, Tensor& g) {
  Tensor sums = Tensor::empty({g.shape()[0], g.shape()[1]}, g.dtype());
  const std::int64_t plane = g.shape()[2] * g.shape()[3];
  visit_floating(g.dtype(), [&]<class T> {
    detail::parallel_ranges(sums.size(), detail::grain_for(plane), [&](std::int64_t begin, std::int64_t end) {
      detail::dispatch_isa([&] {
        for (std::int64_t p = begin; p < end; ++p) {
          const T* const out = TensorAccess::data_as<T>(y) + p * plane;
          T* const to = TensorAccess::data_as<T>(g) + p * plane;
          detail::simd_for(plane, [&](std::int64_t i) {
            to[i] = out[i] > T{0} ? to[i] : static_cast<T>(detail::kNothing);
          });
          TensorAccess::data_as<T>(sums)[p] = static_cast<T>(detail::sum_of(to, plane));
        }
      });
    });
  });
  return sums;
}

}  // namespace

void op::Conv2dRelu::vjp_fused(VjpContext<Conv2dRelu>& ctx) {
  Tensor g = ctx.take_grad_output();
  const Tensor sums = pass_relu(ctx.output(), g);
  accumulate_conv_gradients(ctx, Conv2d{ctx.op().window, ctx.op().groups}, g);
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
    write_x(conv_shape(window, groups, shape, y.shape()), gradient, y, w, bias, x);
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
        write_y(s, and_other(Gradient::left, is_right(op.gradient)), g, w, Tensor(), to);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor y = ctx.input<0>();
      ctx.accumulate<T>(1, [&](Destination<T> to) {
        write_w(s, and_other(Gradient::left, is_left(op.gradient)), g, y, to);
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
    write_w(conv_shape(window, groups, x.shape(), y.shape()), gradient, x, y, w);
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
        write_x(s, and_other(Gradient::right, is_right(op.gradient)), y, g, Tensor(), to);
      });
    }
    if (ctx.needs_grad(1)) {
      const Tensor x = ctx.input<0>();
      ctx.accumulate<T>(1, [&](Destination<T> to) {
        write_y(s, and_other(Gradient::right, is_left(op.gradient)), x, g, Tensor(), to);
      });
    }
  });
}

template const OpInfo& detail::info_of<op::Conv2d>();
template const OpInfo& detail::info_of<op::Conv2dRelu>();
template const OpInfo& detail::info_of<op::ConvTranspose2d>();
template const OpInfo& detail::info_of<op::ConvWeight2d>();

}  // namespace tapegrad
