#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// Sums of products over axes named by letters, as in NumPy and PyTorch:
///
///     einsum("ij,jk->ik", {a, b})            // the matrix product: j is summed over
///     einsum("bqhd,bkhd->bhqk", {q, k})      // a matrix product for each b and h
///     einsum("ii->i", {a})                   // the diagonal
///     einsum("...ij->...ji", {a})            // the last two axes exchanged
///
/// The formula has a letter for each axis of each operand. An axis whose letter is in the result stays; all others are
/// summed over. A letter that an operand has twice takes its diagonal. "..." stands for axes without a name, aligned at
/// the last of them. Without "->" the result has the unnamed axes, then the letters that occur once, A to Z before a to
/// z. Spaces mean nothing. Sizes of axes of one letter must be equal, or 1, which is repeated.
///
/// Operands are multiplied from left to right, two at a time, by matmul (batched over the letters that both have and
/// that stay) where there is something to sum over; an order that makes small results first is for the caller to
/// write. Of f32 or f64, all of one dtype. Differentiable to any order. Where there is nothing to compute, the result
/// shares the elements of the operand.
///
/// Throws ArgumentError for a formula that cannot be read, for another number of operands than it names, and for an
/// undefined tensor, ShapeError where an operand's axes or sizes do not fit the letters, DtypeError for integers and
/// for mixed dtypes.
TAPEGRAD_API Tensor einsum(std::string_view formula, std::span<const Tensor> operands);
TAPEGRAD_API Tensor einsum(std::string_view formula, std::initializer_list<Tensor> operands);

}  // namespace tapegrad
