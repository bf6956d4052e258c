#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/shape.h>

namespace tapegrad::detail {

/// How N operands are walked together: axes, outermost first, and for each operand a stride along each of
/// them, in elements. A stride of 0 broadcasts an operand along an axis, a negative one walks it backward.
/// Neighbouring axes that lie alike in all operands become one, and axes of size 1 none, so that the
/// innermost axis is as long as it can be.
template <std::size_t N>
class LoopNest {
 public:
  using Offsets = std::array<std::int64_t, N>;
  struct Axis {
    std::int64_t size = 1;
    Offsets stride{};
  };

  /// Adds an axis inside those there are.
  void axis(std::int64_t size, const Offsets& stride) {
    size_ *= size;
    if (size == 1 || size_ == 0) return;
    if (rank_ > 0) {
      Axis& outer = axes_[rank_ - 1];
      bool alike = true;
      for (std::size_t k = 0; k < N; ++k) alike &= outer.stride[k] == stride[k] * size;
      if (alike) {
        outer = {outer.size * size, stride};
        return;
      }
    }
    axes_[rank_++] = {size, stride};
  }

  /// Number of positions: the product of the axes' sizes.
  std::int64_t size() const { return size_; }
  std::size_t rank() const { return rank_; }
  const Axis& operator[](std::size_t d) const { return axes_[d]; }
  /// The innermost axis; of size 1 where there is none.
  const Axis& inner() const { return axes_[rank_ ? rank_ - 1 : 0]; }

  /// The first `count` steps along the outermost axis alone.
  LoopNest first(std::int64_t count) const {
    LoopNest part = *this;
    part.size_ = size_ / axes_[0].size * count;
    part.axes_[0].size = count;
    return part;
  }
  /// Takes axis d out of the nest and returns it.
  Axis take(std::size_t d) {
    const Axis taken = axes_[d];
    for (std::size_t i = d + 1; i < rank_; ++i) axes_[i - 1] = axes_[i];
    axes_[--rank_] = {};
    size_ /= taken.size;
    return taken;
  }

  /// Stands at one position after the other, in row-major order; after the last comes the first.
  class Cursor {
   public:
    explicit Cursor(const LoopNest& nest, std::int64_t position = 0) : nest_(nest) {
      if (position) seek(position);
    }
    std::int64_t operator[](std::size_t k) const { return at_[k]; }

    void seek(std::int64_t position) {
      at_ = {};
      for (std::size_t d = nest_.rank_; d-- > 0; position /= nest_.axes_[d].size) {
        const Axis& a = nest_.axes_[d];
        index_[d] = position % a.size;
        for (std::size_t k = 0; k < N; ++k) at_[k] += index_[d] * a.stride[k];
      }
    }
    void next() { advance(nest_.rank_); }

   private:
    friend class LoopNest;
    /// One step along the innermost of the first `rank` axes, and what follows from it.
    void advance(std::size_t rank) {
      for (std::size_t d = rank; d-- > 0;) {
        const Axis& a = nest_.axes_[d];
        for (std::size_t k = 0; k < N; ++k) at_[k] += a.stride[k];
        if (++index_[d] < a.size) return;
        for (std::size_t k = 0; k < N; ++k) at_[k] -= a.size * a.stride[k];
        index_[d] = 0;
      }
    }

    const LoopNest& nest_;
    Offsets at_{};
    std::array<std::int64_t, Shape::kMaxRank> index_{};
  };

  /// f(offsets, count) for positions [begin, end): runs along the innermost axis, whose strides lead from one
  /// element of a run to the next.
  template <class F>
  void for_each_run(std::int64_t begin, std::int64_t end, F&& f) const {
    Cursor at(*this, begin);
    const std::size_t d = rank_ ? rank_ - 1 : 0;
    const Axis& a = axes_[d];
    for (std::int64_t left = end - begin; left > 0;) {
      const std::int64_t run = std::min(left, a.size - at.index_[d]);
      f(static_cast<const Offsets&>(at.at_), run);
      left -= run;
      at.index_[d] += run;
      for (std::size_t k = 0; k < N; ++k) at.at_[k] += run * a.stride[k];
      if (at.index_[d] < a.size) continue;
      at.index_[d] = 0;
      for (std::size_t k = 0; k < N; ++k) at.at_[k] -= a.size * a.stride[k];
      at.advance(d);
    }
  }

 private:
  std::array<Axis, Shape::kMaxRank> axes_{};
  std::size_t rank_ = 0;
  std::int64_t size_ = 1;
};

using Strides = std::array<std::int64_t, Shape::kMaxRank>;

/// Strides of a row-major array: the product of the sizes behind each axis.
inline Strides row_major_strides(const Shape& shape) {
  Strides stride{};
  std::int64_t elements = 1;
  for (std::size_t i = shape.rank(); i-- > 0; elements *= shape[i]) stride[i] = elements;
  return stride;
}

/// Strides of a row-major operand along the axes of an array that it broadcasts to.
inline Strides broadcast_strides(const Shape& operand, const Shape& out) {
  const Strides own = row_major_strides(operand);
  const std::size_t added = out.rank() - operand.rank();
  Strides stride{};
  for (std::size_t i = added; i < out.rank(); ++i) stride[i] = operand[i - added] == 1 ? 0 : own[i - added];
  return stride;
}

/// Operands that broadcast to `out`, along its elements in row-major order.
template <class... Shapes>
LoopNest<sizeof...(Shapes)> broadcast_nest(const Shape& out, const Shapes&... operands) {
  const std::array<Strides, sizeof...(Shapes)> strides{broadcast_strides(operands, out)...};
  LoopNest<sizeof...(Shapes)> nest;
  for (std::size_t i = 0; i < out.rank(); ++i) {
    typename LoopNest<sizeof...(Shapes)>::Offsets stride;
    for (std::size_t k = 0; k < sizeof...(Shapes); ++k) stride[k] = strides[k][i];
    nest.axis(out[i], stride);
  }
  return nest;
}

}  // namespace tapegrad::detail
