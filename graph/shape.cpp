#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/shape.h>

#include <fmt/format.h>

namespace tapegrad {

Shape::Shape(std::span<const std::int64_t> dims) : dims_{}, rank_(dims.size()) {
  if (dims.size() > kMaxRank)
    throw detail::ImpossibleShape(fmt::format(
        "shape: {} axes given, at most {} are supported; join some of them with flatten or reshape",
        dims.size(), kMaxRank));
  for (std::size_t i = 0; i < rank_; ++i) dims_[i] = dims[i];
  measure();
}

namespace {

/// Leaves room to count bytes of the widest element in a signed 64-bit integer.
constexpr std::int64_t kMostElements = std::int64_t{1} << 59;

[[noreturn]] void throw_impossible(std::span<const std::int64_t> dims) {
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (dims[i] < 0)
      throw detail::ImpossibleShape(
          fmt::format("shape: the size {} of axis {} is negative; the least size is 0", dims[i], i));
  throw detail::ImpossibleShape(
      fmt::format("shape: [{}] has too many elements: the sizes other than 0 multiply to more than {}; make "
                  "them smaller, or work on parts",
                  fmt::join(dims, ", "), kMostElements));
}

}  // namespace

void Shape::measure() {
  std::int64_t size = 1;
  bool empty = false;
  for (std::size_t i = 0; i < rank_; ++i) {
    const std::int64_t d = dims_[i];
    if (d == 0)
      empty = true;
    else if (d < 0 || __builtin_mul_overflow(size, d, &size) || size > kMostElements) [[unlikely]]
      throw_impossible(dims());
  }
  size_ = empty ? 0 : size;
}

std::int64_t Shape::dim(std::int64_t axis) const { return dims_[normalize_axis(axis, rank_, "dim")]; }

Shape Shape::with(std::size_t axis, std::int64_t size) const {
  Shape s(*this, Lean::copy);
  s.dims_[axis] = size;
  s.measure();
  return s;
}

Shape Shape::inserted(std::size_t axis, std::int64_t size) const {
  std::array<std::int64_t, kMaxRank + 1> d{};
  for (std::size_t i = 0; i < axis; ++i) d[i] = dims_[i];
  d[axis] = size;
  for (std::size_t i = axis; i < rank_; ++i) d[i + 1] = dims_[i];
  return Shape(std::span<const std::int64_t>(d.data(), rank_ + 1));
}

Shape Shape::removed(std::size_t axis) const {
  Shape s;
  for (std::size_t i = 0; i < rank_; ++i)
    if (i != axis) s.dims_[s.rank_++] = dims_[i];
  s.measure();
  return s;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape.dims(), ", ")); }

Shape broadcast(const Shape& a, const Shape& b, std::string_view op) {
  if (a == b) return a;
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  const std::size_t offset = longer.rank() - shorter.rank();
  std::array<std::int64_t, Shape::kMaxRank> dims{};
  for (std::size_t i = 0; i < longer.rank(); ++i) {
    dims[i] = longer[i];
    if (i < offset) continue;
    const std::int64_t other = shorter[i - offset];
    if (dims[i] == 1) {
      dims[i] = other;
    } else if (other != 1 && other != dims[i]) {
      throw ShapeError(
          fmt::format("{}: shapes {} and {} do not broadcast: axis -{} has {} and {}; they must be "
                      "equal or 1",
                      op_label(op), to_string(a), to_string(b), longer.rank() - i,
                      a.rank() >= b.rank() ? dims[i] : other, a.rank() >= b.rank() ? other : dims[i]));
    }
  }
  return Shape(std::span<const std::int64_t>(dims.data(), longer.rank()));
}

bool broadcasts_to(const Shape& from, const Shape& to) noexcept {
  if (from.rank() > to.rank()) return false;
  const std::size_t offset = to.rank() - from.rank();
  for (std::size_t i = 0; i < from.rank(); ++i)
    if (from[i] != to[i + offset] && from[i] != 1) return false;
  return true;
}

std::size_t normalize_axis(std::int64_t axis, std::size_t rank, std::string_view op) {
  const auto n = static_cast<std::int64_t>(rank);
  if (axis < -n || axis >= n) {
    throw ArgumentError(rank == 0
                            ? fmt::format("{}: axis {} given, but a scalar has no axes", op_label(op), axis)
                            : fmt::format("{}: axis {} is outside [{}, {}] of a tensor of rank {}",
                                          op_label(op), axis, -n, n - 1, rank));
  }
  return static_cast<std::size_t>(axis < 0 ? axis + n : axis);
}

}  // namespace tapegrad
