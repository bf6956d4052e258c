#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/ops/tensor/shape.h>

/// Numbers that operations on images take, one for each axis.
namespace tapegrad {

/// One number for all N axes of images, or a number for each: 3 or {5, 3}, for height and width. At first 0.
template <std::size_t N>
class Sizes {
 public:
  constexpr Sizes() = default;
  /// A number for each axis, or one for all.
  constexpr Sizes(const std::array<std::int64_t, N>& each) : values_(each) {}
  template <std::integral I>
  constexpr Sizes(I all) {
    values_.fill(static_cast<std::int64_t>(all));
  }
  template <std::integral... I>
  requires(N > 1 && sizeof...(I) == N) constexpr Sizes(I... each)
      : values_{static_cast<std::int64_t>(each)...} {}

  /// The number of an axis, and those of all.
  constexpr std::int64_t operator[](std::size_t i) const { return values_[i]; }
  constexpr std::int64_t& operator[](std::size_t i) { return values_[i]; }
  constexpr std::span<const std::int64_t> values() const { return values_; }
  constexpr const std::int64_t* begin() const { return values_.data(); }
  constexpr const std::int64_t* end() const { return values_.data() + N; }
  friend constexpr bool operator==(const Sizes&, const Sizes&) = default;

 private:
  std::array<std::int64_t, N> values_{};
};

namespace detail {
/// The same padding before and after each axis.
constexpr std::array<Padding, 1> both_sides(const Sizes<1>& p) { return {{{p[0], p[0]}}}; }
constexpr std::array<Padding, 2> both_sides(const Sizes<2>& p) { return {{{p[0], p[0]}, {p[1], p[1]}}}; }
}  // namespace detail

/// What stands around images of a convolution: a number for all sides, one for each axis, {before, after} for each
/// axis, "valid" (nothing), or "same": results as many as elements, for a stride of 1. Of an odd number, "same" has the
/// odd one at the end, as in PyTorch.
template <std::size_t N>
class ConvPadding {
 public:
  ConvPadding() = default;
  /// As the class says: a number for all sides, one for each axis, {before, after} for each axis, or a name.
  template <std::integral I>
  ConvPadding(I all) : ConvPadding(Sizes<N>(all)) {}
  ConvPadding(const Sizes<N>& each) : sides_(detail::both_sides(each)) {}
  template <std::integral... I>
  requires(N > 1 && sizeof...(I) == N) ConvPadding(I... each) : ConvPadding(Sizes<N>(each...)) {}
  ConvPadding(const std::array<Padding, N>& sides) : sides_(sides) {}
  ConvPadding(const char* name) : name_(name) {}

  /// Null where sides are given.
  const char* name() const { return name_; }
  const std::array<Padding, N>& sides() const { return sides_; }

 private:
  std::array<Padding, N> sides_{};
  const char* name_ = nullptr;
};

}  // namespace tapegrad
