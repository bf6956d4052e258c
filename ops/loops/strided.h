#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/tensor.h>

/// Copies between row-major arrays that do not lie alike: permutations, slices, paddings, concatenations and
/// their gradients are all one loop nest with two strides an axis.
namespace tapegrad::detail {

/// The axes to walk, outermost first. Strides are in elements; those of the source may be 0 or negative,
/// those of the destination negative. Neighbours that lie alike on both sides become one.
class StridedPlan {
 public:
  void axis(std::int64_t extent, std::int64_t to_stride, std::int64_t from_stride);

  struct Axis {
    std::int64_t extent;
    std::int64_t to;
    std::int64_t from;
  };
  std::size_t rank() const { return rank_; }
  const Axis& operator[](std::size_t i) const { return axes_[i]; }
  bool empty() const { return empty_; }

 private:
  std::array<Axis, Shape::kMaxRank> axes_{};
  std::size_t rank_ = 0;
  bool empty_ = false;
};

/// Strides of a row-major array: the product of the extents behind each axis.
std::array<std::int64_t, Shape::kMaxRank> row_major_strides(const Shape& shape);

/// Writes the elements of `from`, beginning at one offset, to those of `to`, beginning at another.
void copy_strided(const StridedPlan& plan, Tensor& to, std::int64_t to_offset, const Tensor& from,
                  std::int64_t from_offset = 0);
/// Adds them instead.
void add_strided(const StridedPlan& plan, Tensor& to, std::int64_t to_offset, const Tensor& from,
                 std::int64_t from_offset = 0);

}  // namespace tapegrad::detail
