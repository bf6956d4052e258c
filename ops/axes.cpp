#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/axes.h>

#include <fmt/format.h>

namespace tapegrad {

Axes::Axes(std::span<const std::int64_t> axes) : count_(axes.size()) {
  if (count_ > axes_.size())
    throw ArgumentError(
        fmt::format("axes: {} given, but no tensor has more than {} axes", count_, Shape::kMaxRank));
  for (std::size_t i = 0; i < count_; ++i) axes_[i] = axes[i];
}

AxisMask Axes::mask(std::size_t rank, std::string_view op) const {
  if (all_) return static_cast<AxisMask>((1u << rank) - 1u);
  AxisMask mask = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const auto bit = static_cast<AxisMask>(1u << normalize_axis(axes_[i], rank, op));
    if (mask & bit)
      throw ArgumentError(
          fmt::format("{}: axis {} of a tensor of rank {} is named twice", op_label(op), axes_[i], rank));
    mask = static_cast<AxisMask>(mask | bit);
  }
  return mask;
}

namespace detail {

namespace {
void require_defined(const Tensor& x, std::string_view op) {
  if (!x.defined()) throw ArgumentError(fmt::format("{}: the tensor is undefined", op_label(op)));
}
}  // namespace

std::size_t axis_of(const Tensor& x, std::int64_t axis, std::string_view op) {
  require_defined(x, op);
  return normalize_axis(axis, x.rank(), op);
}

AxisMask axes_of(const Tensor& x, const Axes& axes, std::string_view op) {
  require_defined(x, op);
  return axes.mask(x.rank(), op);
}

}  // namespace detail
}  // namespace tapegrad
