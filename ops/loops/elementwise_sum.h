#pragma once

#include <span>

#include <tapegrad/graph/element_access.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/loops/elementwise.h>

/// Sums of the results of an elementwise op, which are never in memory but for a block at a time.
namespace tapegrad::detail {

/// The results' sums over the axes where `sums`, of the rank of `shape`, has the size 1, divided by `divisor`; its
/// shape is `sums`. The operands are floating, of one dtype, and broadcast to `shape`.
TAPEGRAD_API Tensor elementwise_sum(const ElementwiseOp& e, const void* op, std::span<const Tensor* const> in,
                                    const Shape& shape, const Shape& sums, double divisor);
/// The gradients of its operands; the rule's output has the elements of `sums`, and nothing of it is read.
TAPEGRAD_API void elementwise_sum_backward(const ElementwiseOp& e, const void* op, const Shape& shape,
                                           const Shape& sums, double divisor, ElementAccess context);

}  // namespace tapegrad::detail
