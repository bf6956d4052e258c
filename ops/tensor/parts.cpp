#include <algorithm>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/axes.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/loops/strided.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

/// Taking tensors apart and joining them.
namespace tapegrad {

namespace op {

/// Elements begin, begin + step, ... along an axis, `count` of them, all within.
struct Slice {
  static constexpr auto name = "slice";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::int64_t step = 1;
  void describe(AttributeVisitor& v) const {
    v("axis", axis), v("begin", begin), v("count", count), v("step", step);
  }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Slice>& ctx);
  static void vjp_fused(VjpContext<Slice>& ctx);
  static void samples(Samples& s) {
    s.add(Slice{.begin = 2, .count = 3}, {Shape{7}});
    s.add(Slice{.begin = 5, .count = 3, .step = -2}, {Shape{7}});
    s.add(Slice{.begin = 1, .count = 2}, {Shape{5, 3}});
    s.add(Slice{.axis = 1, .begin = 1, .count = 2, .step = 3}, {Shape{3, 5}});
    s.add(Slice{.axis = 1, .begin = 2, .count = 3, .step = -1}, {Shape{2, 3, 5}});
    s.add(Slice{.axis = 1, .begin = 1, .count = 131}, {Shape{263, 135}}, "for several threads");
  }
};

/// Nothing, with x in place of the elements that such a slice of the result would take: the gradient of Slice.
struct Unslice {
  static constexpr auto name = "unslice";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  std::int64_t begin = 0;
  std::int64_t size = 0;  ///< of the axis
  std::int64_t step = 1;
  void describe(AttributeVisitor& v) const {
    v("axis", axis), v("begin", begin), v("size", size), v("step", step);
  }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Unslice>& ctx);
  static void samples(Samples& s) {
    s.add(Unslice{.begin = 2, .size = 7}, {Shape{3}});
    s.add(Unslice{.begin = 5, .size = 7, .step = -2}, {Shape{3}});
    s.add(Unslice{.axis = 1, .begin = 1, .size = 5, .step = 3}, {Shape{3, 2}});
    s.add(Unslice{.axis = 1, .begin = 1, .size = 135}, {Shape{263, 131}}, "for several threads");
  }
};

struct Concat {
  static constexpr auto name = "concat";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::uint8_t axis = 0;
  void describe(AttributeVisitor& v) const { v("axis", axis); }
  Tensor forward(std::span<const Tensor* const> parts) const;
  static void vjp(VjpContext<Concat>& ctx);
  static void samples(Samples& s) {
    s.add(Concat{}, {Shape{3}});
    s.add(Concat{}, {Shape{3}, Shape{1}, Shape{5}});
    s.add(Concat{}, {Shape{2, 3}, Shape{1, 3}});
    s.add(Concat{}, {Shape{2, 3}, Shape{2, 3}});
    s.add(Concat{.axis = 1}, {Shape{2, 3}, Shape{2, 1}, Shape{2, 5}, Shape{2, 2}, Shape{2, 1}});
    s.add(Concat{.axis = 1}, {Shape{3, 2, 5}, Shape{3, 1, 5}});
    s.add(Concat{.axis = 1}, {Shape{263, 131}, Shape{263, 133}}, "for several threads");
  }
};

}  // namespace op

using detail::AxisView;
using detail::CopyNest;
using detail::TensorAccess;

// ---- slice ----

namespace {
/// A slice of x beside an array of its own shape: how the gradient goes back.
CopyNest slice_nest(const AxisView& x, std::int64_t count, std::int64_t step, bool into_x) {
  CopyNest nest;
  const auto axis = [&](std::int64_t size, std::int64_t part, std::int64_t whole) {
    nest.axis(size, {into_x ? whole : part, into_x ? part : whole});
  };
  axis(x.outer, count * x.inner, x.size * x.inner);
  axis(count, x.inner, step * x.inner);
  axis(x.inner, 1, 1);
  return nest;
}
}  // namespace

Tensor op::Slice::forward(const Tensor& x) const {
  const AxisView around(x.shape(), axis);
  const Shape shape = x.shape().with(axis, count);
  if (around.outer == 1 && step == 1) return TensorAccess::view(x, begin * around.inner, shape);
  Tensor y = Tensor::empty(shape, x.dtype());
  copy_strided(slice_nest(around, count, step, false), y, 0, x, begin * around.inner);
  return y;
}
void op::Slice::vjp(VjpContext<Slice>& ctx) {
  const Slice& op = ctx.op();
  ctx.add(0,
          apply_op(op::Unslice{op.axis, op.begin, ctx.input_shape(0)[op.axis], op.step}, ctx.grad_output()));
}
void op::Slice::vjp_fused(VjpContext<Slice>& ctx) {
  const Slice& op = ctx.op();
  const AxisView around(ctx.input_shape(0), op.axis);
  visit_floating(ctx.input_dtype(0), [&]<class T> {
    ctx.accumulate<T>(0, [&](detail::Destination<T> to) {
      to.clear(ctx.input_shape(0).size());
      // The first gradient is zero where the slice has no element.
      const detail::Destination<T> part{to.data + op.begin * around.inner, true};
      copy_strided<T>(slice_nest(around, op.count, op.step, true), part,
                      TensorAccess::data_as<T>(ctx.grad_output()));
    });
  });
}

Tensor op::Unslice::forward(const Tensor& x) const {
  Tensor y = Tensor::full(x.shape().with(axis, size), detail::kNothing, x.dtype());
  const AxisView around(y.shape(), axis);
  copy_strided(slice_nest(around, x.shape()[axis], step, true), y, begin * around.inner, x);
  return y;
}
void op::Unslice::vjp(VjpContext<Unslice>& ctx) {
  const Unslice& op = ctx.op();
  ctx.add(0, apply_op(op::Slice{op.axis, op.begin, ctx.input_shape(0)[op.axis], op.step}, ctx.grad_output()));
}

Tensor slice(const Tensor& x, std::int64_t axis, std::int64_t begin, std::int64_t end, std::int64_t step) {
  const std::size_t a = detail::axis_of(x, axis, op::Slice::name);
  if (step == 0)
    throw ArgumentError(fmt::format("{}: the step is 0; it is how far apart the elements lie, 1 for each",
                                    op_label(op::Slice::name)));
  const std::int64_t n = x.shape()[a];
  // Python's rule: bounds lie in [0, n], or in [-1, n - 1] on the way back.
  const auto bound = [&](std::int64_t i) {
    if (i < 0) i += n;
    return step > 0 ? std::clamp<std::int64_t>(i, 0, n) : std::clamp<std::int64_t>(i, -1, n - 1);
  };
  begin = bound(begin);
  end = bound(end);
  std::int64_t count = 0;
  if (step > 0 && begin < end) count = (end - begin - 1) / step + 1;
  if (step < 0 && begin > end) count = (end - begin + 1) / step + 1;
  // Where there is nothing to step over, no stride is formed from a step that may be of any size.
  if (count < 2) step = 1;
  if (count == 0) begin = 0;
  return apply_op(op::Slice{static_cast<std::uint8_t>(a), begin, count, step}, x);
}

namespace {
Tensor select_of(const Tensor& x, std::size_t a, std::int64_t index, const char* op) {
  const std::int64_t n = x.shape()[a];
  if (index < -n || index >= n)
    throw ArgumentError(
        fmt::format("{}: index {} is outside axis {} of {}", op_label(op), index, a, to_string(x.shape())));
  const std::int64_t at = index < 0 ? index + n : index;
  return reshape(apply_op(op::Slice{static_cast<std::uint8_t>(a), at, 1, 1}, x), x.shape().removed(a));
}
}  // namespace

Tensor select(const Tensor& x, std::int64_t axis, std::int64_t index) {
  return select_of(x, detail::axis_of(x, axis, "select"), index, "select");
}

const Tensor Tensor::operator[](std::int64_t index) const {
  constexpr const char* kName = "operator[]";
  detail::require_defined(kName, *this);
  if (rank() == 0)
    throw ArgumentError(
        fmt::format("{}: [{}] of a scalar, which has no axis; item() is its value", op_label(kName), index));
  return select_of(*this, 0, index, kName);
}

std::vector<Tensor> split(const Tensor& x, std::span<const std::int64_t> sizes, std::int64_t axis) {
  const std::size_t a = detail::axis_of(x, axis, "split");
  std::int64_t left = x.shape()[a];
  bool fits = true;
  for (const std::int64_t size : sizes) {
    fits = fits && size >= 0 && size <= left;
    if (fits) left -= size;
  }
  if (!fits || left != 0)
    throw ShapeError(fmt::format("{}: parts of [{}] do not add up to axis {} of {}", op_label("split"),
                                 fmt::join(sizes, ", "), a, to_string(x.shape())));
  std::vector<Tensor> parts;
  parts.reserve(sizes.size());
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(apply_op(op::Slice{static_cast<std::uint8_t>(a), size ? begin : 0, size, 1}, x));
    begin += size;
  }
  return parts;
}
std::vector<Tensor> split(const Tensor& x, std::initializer_list<std::int64_t> sizes, std::int64_t axis) {
  return split(x, std::span(sizes.begin(), sizes.size()), axis);
}
std::vector<Tensor> split(const Tensor& x, std::int64_t count, std::int64_t axis) {
  const std::size_t a = detail::axis_of(x, axis, "split");
  const std::int64_t n = x.shape()[a];
  if (count <= 0 || n % count != 0)
    throw ShapeError(fmt::format("{}: axis {} of {} does not divide into {} equal parts", op_label("split"),
                                 a, to_string(x.shape()), count));
  // Of an axis without elements any number of parts could be made, more than there is memory to hold them, too.
  constexpr std::int64_t kMostEmpty = 65535;
  if (n == 0 && count > kMostEmpty)
    throw ArgumentError(
        fmt::format("{}: {} parts of {}, which has no elements along axis {}; at most {} can be made",
                    op_label("split"), count, to_string(x.shape()), a, kMostEmpty));
  return split(x, std::vector<std::int64_t>(static_cast<std::size_t>(count), n / count), axis);
}

// ---- concat, stack ----

Tensor op::Concat::forward(std::span<const Tensor* const> parts) const {
  const Tensor& first = *parts[0];
  std::int64_t size = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const Tensor& part = *parts[p];
    detail::require_same_dtype(name, first, part, {"part", 0}, {"part", p});
    if (part.rank() != first.rank() || part.shape().with(axis, 0) != first.shape().with(axis, 0))
      throw ShapeError(
          fmt::format("{}: part 0 is {}, part {} is {}; all sizes but that of axis {} must be equal",
                      op_label(name), to_string(first.shape()), p, to_string(part.shape()), axis));
    if (__builtin_add_overflow(size, part.shape()[axis], &size))
      throw ShapeError(fmt::format("{}: {} tensors like {} have more than 2^63 - 1 elements along axis {}",
                                   op_label(name), parts.size(), to_string(part.shape()), axis));
  }
  Tensor y = Tensor::empty(first.shape().with(axis, size), first.dtype());
  const AxisView whole(y.shape(), axis);
  std::int64_t offset = 0;
  for (const Tensor* part : parts) {
    const std::int64_t run = part->shape()[axis] * whole.inner;
    CopyNest nest;
    nest.axis(whole.outer, {size * whole.inner, run});
    nest.axis(run, {1, 1});
    copy_strided(nest, y, offset, *part);
    offset += run;
  }
  return y;
}
void op::Concat::vjp(VjpContext<Concat>& ctx) {
  const std::uint8_t axis = ctx.op().axis;
  std::int64_t begin = 0;
  for (std::size_t p = 0; p < ctx.inputs(); ++p) {
    const std::int64_t size = ctx.input_shape(p)[axis];
    if (ctx.needs_grad(p))
      ctx.add(p, apply_op(op::Slice{axis, size ? begin : 0, size, 1}, ctx.grad_output()));
    begin += size;
  }
}

namespace {
void require_parts(std::span<const Tensor> parts, const char* op) {
  if (parts.empty())
    throw ArgumentError(fmt::format("{}: no tensors given; it takes at least one", op_label(op)));
}
}  // namespace

Tensor concat(std::span<const Tensor> parts, std::int64_t axis) {
  require_parts(parts, op::Concat::name);
  const auto a = static_cast<std::uint8_t>(detail::axis_of(parts[0], axis, op::Concat::name));
  detail::Workspace<const Tensor*> pointers(static_cast<std::int64_t>(parts.size()));
  std::ranges::transform(parts, pointers.begin(), [](const Tensor& part) { return &part; });
  return apply_op(op::Concat{.axis = a}, std::span<const Tensor* const>(pointers.data(), parts.size()));
}
Tensor concat(std::initializer_list<Tensor> parts, std::int64_t axis) {
  return concat(std::span(parts.begin(), parts.size()), axis);
}

// The axis after which the new one comes stays where it is while the parts are joined along it, so that the
// whole needs two nodes, however many parts there are.
Tensor stack(std::span<const Tensor> parts, std::int64_t axis) {
  require_parts(parts, "stack");
  for (std::size_t p = 0; p < parts.size(); ++p) detail::require_defined("stack", parts[p], {"part", p});
  const Shape& shape = parts[0].shape();
  const std::size_t a = detail::new_axis_of(parts[0], axis, "stack");
  const Shape stacked =
      detail::named("stack", [&] { return shape.inserted(a, static_cast<std::int64_t>(parts.size())); });
  for (std::size_t p = 1; p < parts.size(); ++p)
    if (parts[p].shape() != shape)
      throw ShapeError(fmt::format("{}: part 0 is {}, part {} is {}; all must have one shape",
                                   op_label("stack"), to_string(shape), p, to_string(parts[p].shape())));
  return detail::named("stack", [&] {
    if (a < shape.rank()) return reshape(concat(parts, static_cast<std::int64_t>(a)), stacked);
    std::vector<Tensor, detail::PoolAllocator<Tensor>> columns;
    columns.reserve(parts.size());
    for (const Tensor& part : parts) columns.push_back(unsqueeze(part, -1));
    return concat(std::span<const Tensor>(columns), -1);
  });
}
Tensor stack(std::initializer_list<Tensor> parts, std::int64_t axis) {
  return stack(std::span(parts.begin(), parts.size()), axis);
}

template const OpInfo& detail::info_of<op::Slice>();
template const OpInfo& detail::info_of<op::Unslice>();
template const OpInfo& detail::info_of<op::Concat>();

}  // namespace tapegrad
