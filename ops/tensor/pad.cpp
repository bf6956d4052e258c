#include <algorithm>
#include <array>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/define.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/loops/strided.h>
#include <tapegrad/ops/samples.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/shape.h>

#include <fmt/format.h>

namespace tapegrad {

namespace op {

struct Pad {
  static constexpr auto name = "pad";
  static constexpr auto saves = saves_for(kNone);
  static constexpr bool composed = false;
  std::array<Padding, Shape::kMaxRank> padding{};
  std::size_t rank = 0;
  double value = 0;
  void describe(AttributeVisitor& v) const {
    std::array<std::int64_t, 2 * Shape::kMaxRank> flat;  // before and after each axis
    for (std::size_t i = 0; i < rank; ++i)
      flat[2 * i] = padding[i].before, flat[2 * i + 1] = padding[i].after;
    v("padding", std::span<const std::int64_t>(flat.data(), 2 * rank)), v("value", value);
  }
  Tensor forward(const Tensor& x) const;
  static void vjp(VjpContext<Pad>& ctx);
  static void samples(Samples& s) {
    s.add(Pad{{{{2, 3}}}, 1, 1.5}, {Shape{5}});
    s.add(Pad{{{{0, 0}, {1, 2}}}, 2}, {Shape{3, 5}});
    s.add(Pad{{{{1, 0}, {0, 0}, {2, 1}}}, 3}, {Shape{2, 3, 5}});
    s.add(Pad{{{{1, 0}, {0, 2}}}, 2}, {Shape{263, 131}}, "for several threads");
  }
};

}  // namespace op

using detail::CopyNest;

namespace {
Shape padded_shape(const Shape& x, std::span<const Padding> padding) {
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  for (std::size_t i = 0; i < x.rank(); ++i) dims[i] = padding[i].before + x[i] + padding[i].after;
  return Shape(std::span<const std::int64_t>(dims.data(), x.rank()));
}
}  // namespace

Tensor op::Pad::forward(const Tensor& x) const {
  Tensor y = Tensor::full(padded_shape(x.shape(), padding), value, x.dtype());
  const auto to = detail::row_major_strides(y.shape());
  const auto from = detail::row_major_strides(x.shape());
  CopyNest nest;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    first += padding[i].before * to[i];
    nest.axis(x.shape()[i], {to[i], from[i]});
  }
  copy_strided(nest, y, first, x);
  return y;
}
void op::Pad::vjp(VjpContext<Pad>& ctx) {
  Tensor g = ctx.grad_output();
  for (std::size_t i = 0; i < ctx.input_shape(0).rank(); ++i) {
    const Padding& p = ctx.op().padding[i];
    if (p.before || p.after)
      g = slice(g, static_cast<std::int64_t>(i), p.before, p.before + ctx.input_shape(0)[i]);
  }
  ctx.add(0, g);
}

namespace {

std::array<Padding, Shape::kMaxRank> checked(const Tensor& x, std::span<const Padding> padding) {
  detail::require_defined(op::Pad::name, x);
  if (padding.size() != x.rank())
    throw ArgumentError(fmt::format("{}: {} paddings given for {} with {} axes; each axis takes one",
                                    op_label(op::Pad::name), padding.size(), to_string(x.shape()), x.rank()));
  std::array<Padding, Shape::kMaxRank> all{};
  for (std::size_t i = 0; i < padding.size(); ++i) {
    const Padding& p = padding[i];
    if (p.before < 0 || p.after < 0)
      throw ArgumentError(fmt::format("{}: {} before and {} after axis {}; use slice to take elements away",
                                      op_label(op::Pad::name), p.before, p.after, i));
    constexpr std::int64_t kMost = std::int64_t{1} << 59;  // sums of three stay within i64
    if (p.before > kMost || p.after > kMost)
      throw ArgumentError(fmt::format("{}: {} before and {} after axis {} are too many elements",
                                      op_label(op::Pad::name), p.before, p.after, i));
    all[i] = p;
  }
  return all;
}

/// The element of an axis of n that stands at place i, which may lie outside.
std::int64_t element_at(std::int64_t i, std::int64_t n, PadMode mode) {
  if (mode == PadMode::replicate) return std::clamp<std::int64_t>(i, 0, n - 1);
  if (mode == PadMode::circular) return (i + n) % n;
  return i < 0 ? -i : i < n ? i : 2 * (n - 1) - i;  // reflect
}

constexpr const char* name_of(PadMode mode) {
  constexpr const char* kNames[] = {"constant", "reflect", "replicate", "circular"};
  return kNames[static_cast<std::size_t>(mode)];
}

}  // namespace

Tensor pad(const Tensor& x, std::span<const Padding> padding, double value) {
  const auto all = checked(x, padding);
  return apply_op(
      op::Pad{
          .padding = all, .rank = x.rank(), .value = detail::scalar_beside(x, value, op::Pad::name).item()},
      x);
}
Tensor pad(const Tensor& x, std::initializer_list<Padding> padding, double value) {
  return pad(x, std::span(padding.begin(), padding.size()), value);
}

Tensor pad(const Tensor& x, std::span<const Padding> padding, PadMode mode) {
  if (mode == PadMode::constant) return pad(x, padding);
  const auto all = checked(x, padding);
  for (std::size_t axis = 0; axis < x.rank(); ++axis) {
    const Padding& p = all[axis];
    const std::int64_t n = x.shape()[axis], longest = std::max(p.before, p.after);
    const std::int64_t most = mode == PadMode::circular ? n : mode == PadMode::reflect ? n - 1 : longest;
    if (longest > 0 && (n == 0 || longest > most))
      throw ArgumentError(
          fmt::format("{}: {} before and {} after axis {} of {}; mode {} has at most {} to put there",
                      op_label(op::Pad::name), p.before, p.after, axis, to_string(x.shape()), name_of(mode),
                      n == 0 ? 0 : most));
  }
  return detail::named(op::Pad::name, [&] {
    // Where there is no room for the result, that is said, and not of the positions it is made by.
    Tensor::empty(padded_shape(x.shape(), all), x.dtype());
    Tensor y = x;
    for (std::size_t axis = 0; axis < x.rank(); ++axis) {
      const Padding& p = all[axis];
      if (p.before == 0 && p.after == 0) continue;
      const std::int64_t n = x.shape()[axis];
      Tensor elements = Tensor::empty({p.before + n + p.after}, i64);
      std::int64_t i = -p.before;
      for (std::int64_t& e : elements.mutable_values<std::int64_t>()) e = element_at(i++, n, mode);
      y = index_select(y, static_cast<std::int64_t>(axis), elements);
    }
    return y;
  });
}
Tensor pad(const Tensor& x, std::initializer_list<Padding> padding, PadMode mode) {
  return pad(x, std::span(padding.begin(), padding.size()), mode);
}

template const OpInfo& detail::info_of<op::Pad>();

}  // namespace tapegrad
