#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/axes.h>

/// Other shapes and orders of the same elements, of any dtype. A result shares its elements with x where it
/// says so, and is a copy otherwise. An axis may be negative, counted from the end; one that does not exist
/// throws ArgumentError, as does an undefined tensor.
namespace tapegrad {

// ---- other sizes, the same elements in the same order: these share them ----

/// The size of one axis of the list may be -1: what the others leave. Throws ShapeError for another number of elements.
TAPEGRAD_API Tensor reshape(const Tensor& x, const Shape& shape);
TAPEGRAD_API Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> sizes);
/// The axes from `first` to `last`, both included, become one; a scalar becomes [1]. Throws ArgumentError for a last
/// one before the first.
TAPEGRAD_API Tensor flatten(const Tensor& x, std::int64_t first = 0, std::int64_t last = -1);
/// Without axes of size 1: all, or those named, which must have it (else ShapeError).
TAPEGRAD_API Tensor squeeze(const Tensor& x);
TAPEGRAD_API Tensor squeeze(const Tensor& x, const Axes& axes);
/// With an axis of size 1 inserted, to stand at `axis` of the result.
TAPEGRAD_API Tensor unsqueeze(const Tensor& x, std::int64_t axis);

// ---- other orders ----

/// Axis i of the result is axis order[i] of x. Throws ArgumentError unless `order` names each axis once.
TAPEGRAD_API Tensor permute(const Tensor& x, std::span<const std::int64_t> order);
TAPEGRAD_API Tensor permute(const Tensor& x, std::initializer_list<std::int64_t> order);
/// Two axes exchanged; by default the last two. Throws ShapeError for fewer than two axes.
TAPEGRAD_API Tensor transpose(const Tensor& x);
TAPEGRAD_API Tensor transpose(const Tensor& x, std::int64_t a, std::int64_t b);
/// The elements along these axes in reverse.
TAPEGRAD_API Tensor flip(const Tensor& x, const Axes& axes);

// ---- parts ----

/// As a bound of a slice: beyond the last element, and before the first (with a negative step).
inline constexpr std::int64_t kToEnd = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kToStart = std::numeric_limits<std::int64_t>::min();

/// Elements begin, begin + step, ... before `end` along an axis, as x[begin:end:step] of Python and NumPy: a
/// negative bound counts from the end, bounds beyond the tensor are clamped, a negative step walks backward.
/// Shares elements where the axis is the leading one and the step is 1. Throws ArgumentError for a step of 0.
TAPEGRAD_API Tensor slice(const Tensor& x, std::int64_t axis, std::int64_t begin, std::int64_t end = kToEnd,
                          std::int64_t step = 1);
/// x[index] along an axis, without that axis; a negative index counts from the end. Shares elements where the
/// axis is the leading one. Throws ArgumentError for an index outside.
TAPEGRAD_API Tensor select(const Tensor& x, std::int64_t axis, std::int64_t index);
/// `count` parts of equal size along an axis, or parts of the given sizes, each a slice. Throws
/// ShapeError where they do not add up to the axis.
TAPEGRAD_API std::vector<Tensor> split(const Tensor& x, std::int64_t count, std::int64_t axis = 0);
TAPEGRAD_API std::vector<Tensor> split(const Tensor& x, std::span<const std::int64_t> sizes,
                                       std::int64_t axis = 0);
TAPEGRAD_API std::vector<Tensor> split(const Tensor& x, std::initializer_list<std::int64_t> sizes,
                                       std::int64_t axis = 0);

// ---- joined and enlarged ----

/// The parts one after the other along an axis. Throws ShapeError where the sizes of other axes differ, ArgumentError
/// for no parts, DtypeError for mixed dtypes.
TAPEGRAD_API Tensor concat(std::span<const Tensor> parts, std::int64_t axis = 0);
TAPEGRAD_API Tensor concat(std::initializer_list<Tensor> parts, std::int64_t axis = 0);
/// The parts, all of one shape, along a new axis of the result. Throws as concat.
TAPEGRAD_API Tensor stack(std::span<const Tensor> parts, std::int64_t axis = 0);
TAPEGRAD_API Tensor stack(std::initializer_list<Tensor> parts, std::int64_t axis = 0);

/// How many elements to add before and after those of an axis.
struct Padding {
  std::int64_t before = 0;  ///< before the first
  std::int64_t after = 0;   ///< behind the last
};
/// x with `value` around it; one Padding for each axis. Throws ArgumentError for another number of them
/// and a negative one, DtypeError for a value that is not whole beside i64.
TAPEGRAD_API Tensor pad(const Tensor& x, std::span<const Padding> padding, double value = 0);
TAPEGRAD_API Tensor pad(const Tensor& x, std::initializer_list<Padding> padding, double value = 0);
/// What stands around x: a number, its elements mirrored at the first and last (which are not repeated), the first
/// and last themselves, or those of the other end, as in PyTorch and (constant, reflect, edge, wrap) NumPy.
enum class PadMode : std::uint8_t { constant, reflect, replicate, circular };
/// x with elements of its own around it, or zeros. The gradients of an element that stands in several places add up.
/// Throws ArgumentError as above, and for more than an axis has to give: all but one element on each side for
/// reflect, all for circular; for any from an axis without elements.
TAPEGRAD_API Tensor pad(const Tensor& x, std::span<const Padding> padding, PadMode mode);
TAPEGRAD_API Tensor pad(const Tensor& x, std::initializer_list<Padding> padding, PadMode mode);
/// x broadcast to a shape, as a copy; arithmetic broadcasts by itself, without one. Throws ShapeError where x
/// does not broadcast to it.
TAPEGRAD_API Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace tapegrad
