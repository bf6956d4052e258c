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

void require_elements(const Shape& shape, AxisMask axes, std::string_view op) {
  if (reduced_count(shape, axes) == 0)
    throw ArgumentError(fmt::format(
        "{}: an input of shape {} has no elements along the axes to reduce; the result is not defined",
        op_label(op), to_string(shape)));
}

void describe_axes(AttributeVisitor& v, AxisMask axes) {
  std::array<std::int64_t, Shape::kMaxRank> list{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < list.size(); ++i)
    if (has_axis(axes, i)) list[count++] = static_cast<std::int64_t>(i);
  v("axes", std::span<const std::int64_t>(list.data(), count));
}

}  // namespace detail
}  // namespace tapegrad
