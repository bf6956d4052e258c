#pragma once

#include <concepts>
#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Elements in order along an axis, of f32, f64 or i64. A NaN counts as greater than any number, as in PyTorch: it
/// comes last, or first in descending order. Equal elements, with them NaNs, and 0 and -0, stay in the order in which
/// they stand in x, in descending order, too. Results do not depend on the number of threads.
///
/// The values are gathered by the indices, so that each gradient goes to the element that a value was taken from; the
/// indices, i64, are constants. At a tie, where the derivative does not exist, it is that of the order returned.
///
/// All throw ArgumentError for an axis that does not exist and for an undefined tensor. A scalar has no axis: it is
/// refused.
namespace tapegrad {

/// Elements, and where they were found.
struct ValuesAndIndices {
  Tensor values;   ///< in order
  Tensor indices;  ///< where along the axis each value stands in x
};

/// Of sort and argsort.
struct SortOptions {
  bool descending = false;  ///< the largest first
};

/// The entries of an axis in order: auto [values, indices] = sort(x).
TAPEGRAD_API ValuesAndIndices sort(const Tensor& x, std::int64_t axis = -1, SortOptions options = {});
/// The indices alone: gather(x, axis, argsort(x, axis)) is sorted.
TAPEGRAD_API Tensor argsort(const Tensor& x, std::int64_t axis = -1, SortOptions options = {});

/// Of topk.
struct TopkOptions {
  bool largest = true;  ///< else the smallest
};

/// The k largest elements along an axis, the largest first, or the k smallest, the smallest first. Of equal ones those
/// that stand first in x are taken, which PyTorch leaves open. Throws ArgumentError unless 0 <= k <= the size of the
/// axis.
TAPEGRAD_API ValuesAndIndices topk(const Tensor& x, std::int64_t k, std::int64_t axis = -1,
                                   TopkOptions options = {});

/// Not there: true and false would be axes 1 and 0. The order is an option: sort(x, -1, {.descending = true}),
/// topk(x, k, -1, {.largest = false}).
template <std::same_as<bool> B>
ValuesAndIndices sort(const Tensor& x, B descending) = delete;
template <std::same_as<bool> B>
Tensor argsort(const Tensor& x, B descending) = delete;
template <std::same_as<bool> B>
ValuesAndIndices topk(const Tensor& x, std::int64_t k, B largest) = delete;

}  // namespace tapegrad
