#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>

namespace tapegrad {

namespace detail {
struct PackedShape;
}

/// The sizes of the axes of a row-major tensor, at most kMaxRank of them, stored inline. The empty shape is that of a
/// scalar, of one element.
class TAPEGRAD_API Shape {
 public:
  static constexpr std::size_t kMaxRank = 8;  ///< the most axes that a tensor can have

  constexpr Shape() noexcept : dims_{} {}
  /// Of a vector of so many elements, as in zeros(3). Throws ShapeError for a negative number.
  template <std::integral I>
  requires(!std::same_as<I, bool>) Shape(I size)
      : Shape(std::initializer_list<std::int64_t>{static_cast<std::int64_t>(size)}) {}
  /// Throws ShapeError for an axis of negative size, a rank above kMaxRank or more elements than can be counted.
  Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims);

  /// Number of axes.
  std::size_t rank() const noexcept { return rank_; }
  /// Number of elements: the product of the sizes of the axes.
  std::int64_t size() const noexcept { return size_; }
  /// The size of an axis below rank(), which is not checked: dim() is.
  std::int64_t operator[](std::size_t axis) const noexcept { return dims_[axis]; }
  /// The size of an axis; a negative one counts from the end. Throws ArgumentError if there is no such axis.
  std::int64_t dim(std::int64_t axis) const;
  /// All extents, valid as long as the shape: a temporary has none to give.
  std::span<const std::int64_t> dims() const& noexcept { return {dims_.data(), rank_}; }
  std::span<const std::int64_t> dims() const&& = delete;

  /// The same shape with the size of one axis replaced, an axis inserted or removed.
  Shape with(std::size_t axis, std::int64_t size) const;
  Shape inserted(std::size_t axis, std::int64_t size) const;
  Shape removed(std::size_t axis) const;

  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    if (a.rank_ != b.rank_) return false;
    for (std::size_t i = 0; i < a.rank_; ++i)
      if (a.dims_[i] != b.dims_[i]) return false;
    return true;
  }

 private:
  friend class Tensor;
  friend struct detail::PackedShape;

  // For the handles of tensors, most of which have few axes: sizes are copied one by one, as they were
  // written. A wide load of what narrow stores have just written stalls.
  enum class Lean { copy };
  Shape(const Shape& o, Lean) noexcept : dims_{}, size_(o.size_), rank_(o.rank_) {
    copy_dims(o.dims_.data());
  }
  Shape(const std::int64_t* dims, std::size_t rank, Lean) noexcept : dims_{}, rank_(rank) {
    copy_dims(dims);
    for (std::size_t i = 0; i < rank; ++i) size_ *= dims[i];
  }
  /// Works out size_. Throws ShapeError for an axis of negative size, or more elements than can be counted.
  void measure();
  void assign(const Shape& o) noexcept {
    size_ = o.size_;
    rank_ = o.rank_;
    copy_dims(o.dims_.data());
  }
  void copy_dims(const std::int64_t* from) noexcept {
    if (rank_ > 0) dims_[0] = from[0];
    if (rank_ > 1) dims_[1] = from[1];
    if (rank_ > 2) [[unlikely]]
      for (std::size_t i = 2; i < rank_; ++i) dims_[i] = from[i];
  }

  std::array<std::int64_t, kMaxRank> dims_;
  std::int64_t size_ = 1;
  std::size_t rank_ = 0;
};

/// "[2, 3]"; "[]" for a scalar.
TAPEGRAD_API std::string to_string(const Shape& shape);

/// The shape two operands broadcast to, aligned at the last axis; an axis of size 1 is repeated.
/// Throws ShapeError naming `op` where they do not fit.
TAPEGRAD_API Shape broadcast(const Shape& a, const Shape& b, std::string_view op);
/// True where `from` broadcasts to `to` by the same rules.
TAPEGRAD_API bool broadcasts_to(const Shape& from, const Shape& to) noexcept;

/// An axis in [-rank, rank) as one in [0, rank); throws ArgumentError naming `op` otherwise.
TAPEGRAD_API std::size_t normalize_axis(std::int64_t axis, std::size_t rank, std::string_view op);

}  // namespace tapegrad
