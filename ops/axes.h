#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include <tapegrad/graph/attributes.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// Bit i stands for axis i.
using AxisMask = std::uint8_t;
static_assert(Shape::kMaxRank <= 8);

/// Whether axis i is one of them.
constexpr bool has_axis(AxisMask axes, std::size_t i) { return axes >> i & 1u; }

/// The axes an operation works along: one number, or several as in {0, -1}; negative ones count from the end.
/// Their order does not matter. An empty list names no axis.
class TAPEGRAD_API Axes {
 public:
  /// One axis, several, or as many as the span holds. Throws ArgumentError for more than tensors have.
  template <std::integral I>
  requires(!std::same_as<I, bool>) Axes(I axis) : axes_{static_cast<std::int64_t>(axis)}, count_(1) {}
  Axes(std::initializer_list<std::int64_t> axes) : Axes(std::span(axes.begin(), axes.size())) {}
  explicit Axes(std::span<const std::int64_t> axes);
  /// Every axis of the tensor, whatever its rank.
  static Axes all() {
    Axes axes{};
    axes.all_ = true;
    return axes;
  }

  /// Throws ArgumentError naming `op` for an axis that does not exist or is named twice.
  AxisMask mask(std::size_t rank, std::string_view op) const;

 private:
  std::array<std::int64_t, Shape::kMaxRank> axes_{};
  std::size_t count_ = 0;
  bool all_ = false;
};

namespace detail {
/// The shape without these axes, or with the size 1 for each.
inline Shape reduced_shape(const Shape& shape, AxisMask axes, bool keepdims) {
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  std::size_t rank = 0;
  for (std::size_t i = 0; i < shape.rank(); ++i)
    if (!has_axis(axes, i))
      dims[rank++] = shape[i];
    else if (keepdims)
      dims[rank++] = 1;
  return Shape(std::span<const std::int64_t>(dims.data(), rank));
}

/// How many elements one output is made of.
inline std::int64_t reduced_count(const Shape& shape, AxisMask axes) {
  std::int64_t count = 1;
  for (std::size_t i = 0; i < shape.rank(); ++i)
    if (has_axis(axes, i)) count *= shape[i];
  return count;
}

/// Throws ArgumentError where a result would be of no elements.
TAPEGRAD_API void require_elements(const Shape& shape, AxisMask axes, std::string_view op);

/// Tells a visitor the numbers of the axes.
TAPEGRAD_API void describe_axes(AttributeVisitor& v, AxisMask axes);
}  // namespace detail

}  // namespace tapegrad
