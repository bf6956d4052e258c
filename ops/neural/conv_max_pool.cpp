#include <array>

#include <tapegrad/graph/random.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/loops/workspace.h>
#include <tapegrad/ops/neural/conv_operands.h>
#include <tapegrad/ops/neural/conv_ops.h>
#include <tapegrad/ops/neural/max_pool.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/reduce.h>
#include <tapegrad/ops/tensor/shape.h>

namespace tapegrad {

using detail::ConvShape;
using detail::Destination;
using detail::Gradient;
using detail::places_from;
using detail::Planes;
using detail::TensorAccess;
using detail::Window2d;
using detail::Workspace;

namespace {

/// The same planes of so many images.
Planes with_batch(Planes p, std::int64_t images) {
  p.images = p.images.with(0, images);
  return p;
}

/// Where the windows of an image begin among those of all.
std::int64_t windows_before(const Planes& p, std::int64_t image) {
  return image * p.images[1] * p.windows_size();
}

}  // namespace

void op::Conv2dMaxPool::describe(AttributeVisitor& v) const {
  detail::describe_conv(v, window, groups, Gradient::none);
  v("pool_kernel", std::span<const std::int64_t>(pool.kernel));
  v("pool_stride", std::span<const std::int64_t>(pool.stride));
  v("pool_dilation", std::span<const std::int64_t>(pool.dilation));
  v("ceil_mode", pool.ceil_mode);
}

Tensor op::Conv2dMaxPool::forward(const Tensor& x, const Tensor& w, const Tensor& bias,
                                  Residuals<1>& r) const {
  const Shape between = detail::shape_of_conv(name, window, groups, x, w, bias);
  const ConvShape conv = detail::conv_shape(window, groups, x.shape(), between);
  const Planes planes(name, between, pool);
  Tensor y = Tensor::empty(planes.pooled(), x.dtype());
  if (r.needed()) r[0] = detail::empty_places(planes);
  visit_floating(x.dtype(), [&]<class T> {
    detail::parallel_ranges(conv.batch, images_together(conv), [&](std::int64_t begin, std::int64_t end) {
      const ConvShape s = with_batch(conv, end - begin);
      Workspace<T> images(s.output_size());
      detail::conv(s, TensorAccess::data_as<T>(x) + with_batch(conv, begin).input_size(),
                   TensorAccess::data_as<T>(w), detail::data_or_null<T>(bias),
                   Destination<T>{images.data(), false});
      max_pool_images(with_batch(planes, s.batch), static_cast<const T*>(images.data()),
                      TensorAccess::data_as<T>(y) + windows_before(planes, begin), places_from(r[0], begin));
    });
  });
  return y;
}

Tensor op::Conv2dMaxPool::branches(std::span<const Tensor* const> in) const {
  std::array<Tensor, 1> places;
  apply_op(*this, places, *in[0], *in[1], *in[2]);
  return detail::digits_of(places[0]);
}

void op::Conv2dMaxPool::vjp(VjpContext<Conv2dMaxPool>& ctx) {
  const Conv2dMaxPool& op = ctx.op();
  const Tensor& g = ctx.grad_output();
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, {0, 2, 3}));
  if (!ctx.needs_grad(0) && !ctx.needs_grad(1)) return;
  const Shape x = ctx.input_shape(0);
  const Tensor between =
      apply_op(MaxPool2dScatter{op.pool, detail::windows_of(name, x, op.window)}, g, ctx.residual<0>());
  const Conv2d conv{op.window, op.groups};
  if (ctx.needs_grad(0)) ctx.add(0, detail::gradient_of_x(conv, x, ctx.input<1>(), between));
  if (ctx.needs_grad(1)) ctx.add(1, detail::gradient_of_w(conv, ctx.input<0>(), between));
}

void op::Conv2dMaxPool::vjp_fused(VjpContext<Conv2dMaxPool>& ctx) {
  const Conv2dMaxPool& op = ctx.op();
  const Tensor& g = ctx.grad_output();
  if (ctx.needs_grad(2)) ctx.add(2, sum(g, {0, 2, 3}));
  if (!ctx.needs_grad(0) && !ctx.needs_grad(1)) return;
  const Shape x = ctx.input_shape(0);
  const detail::Size2d size = detail::windows_of(name, x, op.window);
  const Shape between{x[0], ctx.output_shape()[1], size[0], size[1]};
  const Planes planes(name, between, op.pool);
  const Tensor places = ctx.residual<0>();
  visit_floating(g.dtype(), [&]<class T> {
    const auto scatter = [&](std::int64_t first, std::int64_t images, T* dy) {
      max_pool_scatter(with_batch(planes, images),
                       TensorAccess::data_as<T>(g) + windows_before(planes, first),
                       places_from(places, first), Destination<T>{dy, false});
    };
    accumulate_by_images<T>(ctx, detail::conv_shape(op.window, op.groups, x, between), scatter);
  });
}

void op::Conv2dMaxPool::samples(Samples& s) {
  using detail::both_sides;
  const Window2d two{.kernel = {2, 2}, .stride = {2, 2}};
  const auto add = [&](const char* label, const Conv2dMaxPool& op, const Shape& x, std::int64_t out,
                       bool bias) {
    const Shape w{out, x[1] / op.groups, op.window.kernel[0], op.window.kernel[1]};
    s.add(op, {x, w, bias ? SampleInput(Shape{out}) : SampleInput::absent()}, label);
  };
  add("", {{.kernel = {2, 3}}, 1, two}, {2, 2, 5, 6}, 3, true);
  add("a row and a column are left", {{.kernel = {1, 2}}, 1, two}, {1, 1, 3, 6}, 2, false);
  add("the last windows overhang",
      {{.kernel = {1, 1}}, 1, {.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true}}, {1, 2, 3, 5}, 2,
      true);
  add("overlapping", {{.kernel = {2, 2}}, 1, {.kernel = {3, 2}, .stride = {2, 1}}}, {1, 2, 6, 4}, 2, true);
  add("dilation", {{.kernel = {2, 2}}, 1, {.kernel = {2, 2}, .stride = {1, 2}, .dilation = {2, 3}}},
      {1, 1, 4, 6}, 2, false);
  add("stride and padding",
      {{.kernel = {3, 2}, .stride = {2, 1}, .padding = both_sides({1, 2}), .dilation = {1, 2}}, 1, two},
      {2, 1, 7, 4}, 2, true);
  add("groups", {{.kernel = {2, 2}, .padding = both_sides({1, 0})}, 2, two}, {2, 4, 3, 5}, 6, true);
  add("input and weight of one shape", {{.kernel = {2, 2}, .padding = both_sides({1, 1})}, 1, two},
      {2, 2, 2, 2}, 2, false);
  add("places of more than a byte", {{.kernel = {1, 1}}, 1, {.kernel = {16, 17}, .stride = {1, 2}}},
      {1, 1, 17, 20}, 1, true);
  add("no images", {{.kernel = {2, 2}}, 1, two}, {0, 2, 5, 5}, 3, true);
  Generator generator(1);
  const Tensor image = uniform({1, 2, 3, 5}, generator, -2, 2, f64);
  s.add(Conv2dMaxPool{{.kernel = {2, 2}}, 1, two},
        {SampleInput::of(concat({image, image}, 0)), Shape{3, 2, 2, 2}, Shape{3}}, "equal images");
  add("images one by one", {{.kernel = {2, 2}, .padding = both_sides({1, 1})}, 1, two}, {2, 1, 91, 93}, 8,
      true);
}

template const OpInfo& detail::info_of<op::Conv2dMaxPool>();

}  // namespace tapegrad
