#pragma once

#include <cstdint>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/loop_nest.h>

/// Copies between row-major arrays that do not lie alike: permutations, slices, paddings, concatenations and
/// their gradients are all one loop nest of two operands.
namespace tapegrad::detail {

/// Operand 0 is the destination, no element of which is met twice; operand 1 is the source.
using CopyNest = LoopNest<2>;

/// Writes or adds the elements of `from` to those of `to`.
template <class T>
void copy_strided(const CopyNest& nest, Destination<T> to, const T* from);

/// Writes the elements of `from`, beginning at one offset, to those of `to`, beginning at another.
void copy_strided(const CopyNest& nest, Tensor& to, std::int64_t to_offset, const Tensor& from,
                  std::int64_t from_offset = 0);

}  // namespace tapegrad::detail
