#include <algorithm>
#include <array>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/loop_nest.h>
#include <tapegrad/ops/loops/strided.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

struct Reshape {  // also flatten, squeeze, unsqueeze
  static constexpr auto name = "reshape";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Shape shape{};
  void describe(AttributeVisitor& v) const { v("shape", shape); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Reshape>& ctx);
  static void samples(Samples& s) {
    s.add(Reshape{.shape = {1, 1}}, {Shape{}});
    s.add(Reshape{.shape = {5, 3}}, {Shape{3, 5}});
    s.add(Reshape{.shape = {2, 3, 1, 101}}, {Shape{606}});
  }
};

struct Permute {
  static constexpr auto name = "permute";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::array<std::uint8_t, Shape::kMaxRank> order{};
  std::size_t rank = 0;
  void describe(AttributeVisitor& v) const {
    std::array<std::int64_t, Shape::kMaxRank> wide;
    std::copy_n(order.begin(), rank, wide.begin());
    v("order", std::span<const std::int64_t>(wide.data(), rank));
  }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Permute>& ctx);
  static void samples(Samples& s) {
    s.add(Permute{}, {Shape{}});
    s.add(Permute{{1, 0}, 2}, {Shape{3, 5}});
    s.add(Permute{{1, 0}, 2}, {Shape{37, 19}});
    s.add(Permute{{1, 0}, 2}, {Shape{263, 131}}, "for several threads");
    s.add(Permute{{0, 2, 1}, 3}, {Shape{2, 3, 5}});
    s.add(Permute{{1, 0, 2}, 3}, {Shape{2, 3, 5}});
    s.add(Permute{{2, 0, 1}, 3}, {Shape{2, 3, 5}});
    s.add(Permute{{3, 1, 2, 0}, 4}, {Shape{2, 3, 1, 5}});
  }
};

struct Flip {
  static constexpr auto name = "flip";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  AxisMask axes = 0;
  void describe(AttributeVisitor& v) const { detail::describe_axes(v, axes); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Flip>& ctx);
  static void samples(Samples& s) {
    s.add(Flip{0b1}, {Shape{7}});
    s.add(Flip{0b1}, {Shape{3, 5}});
    s.add(Flip{0b11}, {Shape{3, 5}});
    s.add(Flip{0b101}, {Shape{2, 3, 5}});
    s.add(Flip{0b11}, {Shape{263, 131}}, "for several threads");
  }
};

struct BroadcastTo {
  static constexpr auto name = "broadcast_to";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  Shape shape{};
  void describe(AttributeVisitor& v) const { v("shape", shape); }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<BroadcastTo>& ctx);
  static void samples(Samples& s) {
    s.add(BroadcastTo{{3, 5}}, {Shape{}});
    s.add(BroadcastTo{{3, 5}}, {Shape{5}});
    s.add(BroadcastTo{{3, 5}}, {Shape{3, 1}});
    s.add(BroadcastTo{{2, 3, 5}}, {Shape{1, 3, 1}});
    s.add(BroadcastTo{{2, 3, 5}}, {Shape{3, 5}});
    s.add(BroadcastTo{{601, 2}}, {Shape{2}});
    s.add(BroadcastTo{{263, 131}}, {Shape{131}}, "for several threads");
  }
};

}  // namespace op

using detail::CopyNest;
using detail::TensorAccess;

namespace {

using Sizes = std::array<std::int64_t, Shape::kMaxRank>;

Shape shape_of(const Sizes& sizes, std::size_t rank) {
  return Shape(std::span<const std::int64_t>(sizes.data(), rank));
}

Shape asked_shape(std::span<const std::int64_t> sizes) {
  return detail::named(op::Reshape::name, [&] { return Shape(sizes); });
}

}  // namespace

// ---- reshape and its kin ----

Tensor op::Reshape::forward(const Tensor& x) const {
  if (x.size() != shape.size())
    throw ShapeError(fmt::format("{}: {} has {} elements, {} holds {}", op_label(name), to_string(x.shape()),
                                 x.size(), to_string(shape), shape.size()));
  return TensorAccess::view(x, 0, shape);
}
void op::Reshape::vjp(VjpContext<Reshape>& ctx) {
  ctx.add(0, reshape(ctx.grad_output(), ctx.input_shape(0)));
}

Tensor reshape(const Tensor& x, const Shape& shape) { return apply_op(op::Reshape{.shape = shape}, x); }

Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> sizes) {
  detail::require_defined(op::Reshape::name, x);
  const auto open = std::find(sizes.begin(), sizes.end(), -1);
  if (open == sizes.end() || sizes.size() > Shape::kMaxRank)
    return reshape(x, asked_shape({sizes.begin(), sizes.size()}));
  Sizes dims{};
  std::copy(sizes.begin(), sizes.end(), dims.begin());
  const auto axis = static_cast<std::size_t>(open - sizes.begin());
  dims[axis] = 1;
  if (std::find(open + 1, sizes.end(), -1) != sizes.end())
    throw ShapeError(fmt::format("{}: [{}] leaves the sizes of two axes open; at most one may be -1",
                                 op_label(op::Reshape::name), fmt::join(sizes, ", ")));
  const Shape known = asked_shape({dims.data(), sizes.size()});
  if (known.size() == 0 || x.size() % known.size() != 0)
    throw ShapeError(fmt::format("{}: {} has {} elements, which [{}] cannot hold whatever -1 stands for",
                                 op_label(op::Reshape::name), to_string(x.shape()), x.size(),
                                 fmt::join(sizes, ", ")));
  return reshape(x, known.with(axis, x.size() / known.size()));
}

Tensor flatten(const Tensor& x, std::int64_t first, std::int64_t last) {
  detail::require_defined("flatten", x);
  const auto only = [](std::int64_t axis) { return axis == 0 || axis == -1; };
  if (x.rank() == 0 && only(first) && only(last)) return reshape(x, Shape{1});
  const std::size_t from = detail::axis_of(x, first, "flatten");
  const std::size_t to = detail::axis_of(x, last, "flatten");
  if (to < from)
    throw ArgumentError(fmt::format("{}: the last axis {} comes before the first {} of {}",
                                    op_label("flatten"), to, from, to_string(x.shape())));
  Sizes dims{};
  dims[from] = 1;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i < from) dims[i] = x.shape()[i];
    if (i >= from && i <= to) dims[from] *= x.shape()[i];
    if (i > to) dims[from + i - to] = x.shape()[i];
  }
  return reshape(x, shape_of(dims, from + x.rank() - to));
}

Tensor squeeze(const Tensor& x) {
  detail::require_defined("squeeze", x);
  AxisMask ones = 0;
  for (std::size_t i = 0; i < x.rank(); ++i)
    if (x.shape()[i] == 1) ones = static_cast<AxisMask>(ones | 1u << i);
  Shape shape = x.shape();
  for (std::size_t i = x.rank(); i-- > 0;)
    if (has_axis(ones, i)) shape = shape.removed(i);
  return reshape(x, shape);
}

Tensor squeeze(const Tensor& x, const Axes& axes) {
  const AxisMask mask = detail::axes_of(x, axes, "squeeze");
  Shape shape = x.shape();
  for (std::size_t i = x.rank(); i-- > 0;) {
    if (!has_axis(mask, i)) continue;
    if (shape[i] != 1)
      throw ShapeError(fmt::format("{}: axis {} of {} has size {}; only an axis of size 1 can be removed",
                                   op_label("squeeze"), i, to_string(x.shape()), shape[i]));
    shape = shape.removed(i);
  }
  return reshape(x, shape);
}

Tensor unsqueeze(const Tensor& x, std::int64_t axis) {
  const std::size_t a = detail::new_axis_of(x, axis, "unsqueeze");
  return reshape(x, detail::named("unsqueeze", [&] { return x.shape().inserted(a, 1); }));
}

// ---- permute, transpose, flip ----

Tensor op::Permute::forward(const Tensor& x) const {
  const auto stride = detail::row_major_strides(x.shape());
  Sizes dims{};
  for (std::size_t i = 0; i < x.rank(); ++i) dims[i] = x.shape()[order[i]];
  Tensor y = Tensor::empty(shape_of(dims, x.rank()), x.dtype());
  const auto to = detail::row_major_strides(y.shape());
  CopyNest nest;
  for (std::size_t i = 0; i < x.rank(); ++i) nest.axis(dims[i], {to[i], stride[order[i]]});
  copy_strided(nest, y, 0, x);
  return y;
}
void op::Permute::vjp(VjpContext<Permute>& ctx) {
  op::Permute back{.rank = ctx.op().rank};
  for (std::size_t i = 0; i < back.rank; ++i) back.order[ctx.op().order[i]] = static_cast<std::uint8_t>(i);
  ctx.add(0, apply_op(back, ctx.grad_output()));
}

Tensor permute(const Tensor& x, std::span<const std::int64_t> order) {
  detail::require_defined(op::Permute::name, x);
  op::Permute op{.rank = x.rank()};
  AxisMask seen = 0;
  for (std::size_t i = 0; i < std::min(order.size(), x.rank()); ++i) {
    const std::size_t axis = detail::axis_of(x, order[i], op::Permute::name);
    op.order[i] = static_cast<std::uint8_t>(axis);
    seen = static_cast<AxisMask>(seen | 1u << axis);
  }
  if (order.size() != x.rank() || seen != static_cast<AxisMask>((1u << x.rank()) - 1u))
    throw ArgumentError(fmt::format("{}: the order [{}] must name each axis of {} once",
                                    op_label(op::Permute::name), fmt::join(order, ", "),
                                    to_string(x.shape())));
  return apply_op(op, x);
}
Tensor permute(const Tensor& x, std::initializer_list<std::int64_t> order) {
  return permute(x, std::span(order.begin(), order.size()));
}

Tensor transpose(const Tensor& x) {
  detail::require_defined("transpose", x);
  if (x.rank() < 2)
    throw ShapeError(
        fmt::format("{}: {} has fewer than two axes to exchange; use unsqueeze to give it another",
                    op_label("transpose"), to_string(x.shape())));
  return transpose(x, -2, -1);
}
Tensor transpose(const Tensor& x, std::int64_t a, std::int64_t b) {
  const std::size_t first = detail::axis_of(x, a, "transpose");
  const std::size_t second = detail::axis_of(x, b, "transpose");
  op::Permute op{.rank = x.rank()};
  for (std::size_t i = 0; i < op.rank; ++i) op.order[i] = static_cast<std::uint8_t>(i);
  std::swap(op.order[first], op.order[second]);
  return apply_op(op, x);
}

Tensor op::Flip::forward(const Tensor& x) const {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  const auto stride = detail::row_major_strides(x.shape());
  CopyNest nest;
  std::int64_t last = 0;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    const bool reversed = has_axis(axes, i);
    if (reversed) last += (x.shape()[i] - 1) * stride[i];
    nest.axis(x.shape()[i], {stride[i], reversed ? -stride[i] : stride[i]});
  }
  copy_strided(nest, y, 0, x, last);
  return y;
}
void op::Flip::vjp(VjpContext<Flip>& ctx) { ctx.add(0, apply_op(ctx.op(), ctx.grad_output())); }

Tensor flip(const Tensor& x, const Axes& axes) {
  return apply_op(op::Flip{.axes = detail::axes_of(x, axes, op::Flip::name)}, x);
}

// ---- broadcast_to ----

Tensor op::BroadcastTo::forward(const Tensor& x) const {
  if (!broadcasts_to(x.shape(), shape))
    throw ShapeError(fmt::format(
        "{}: {} does not broadcast to {}: aligned at the last axis, the sizes of its axes must be equal or 1",
        op_label(name), to_string(x.shape()), to_string(shape)));
  Tensor y = Tensor::empty(shape, x.dtype());
  copy_strided(detail::broadcast_nest(shape, shape, x.shape()), y, 0, x);
  return y;
}
void op::BroadcastTo::vjp(VjpContext<BroadcastTo>& ctx) {
  ctx.add(0, detail::sum_to_shape(ctx.grad_output(), ctx.input_shape(0)));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  return apply_op(op::BroadcastTo{.shape = shape}, x);
}

template const OpInfo& detail::info_of<op::Reshape>();
template const OpInfo& detail::info_of<op::Permute>();
template const OpInfo& detail::info_of<op::Flip>();
template const OpInfo& detail::info_of<op::BroadcastTo>();

}  // namespace tapegrad
