#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::nn {

/// The sum over all ranks of x, element by element, the same bits on all: y = x_0 + x_1 + ..., of any shape, f32 or
/// f64.
///
/// It is differentiable, to any order, where what is differentiated is the sum of what all ranks compute: the loss of a
/// rank is a part of the whole. Then dL/dx is the same on all ranks, the sum over them of dL/dy.
///
/// Collective, and so is what differentiates it: all ranks call it in the same order, with tensors of one shape and
/// dtype that are tracked on all of them or on none, and differentiate alike. The communicator must outlive the tape.
/// In a Trainer on ranks it belongs into a module that overrides communicator(). Throws ArgumentError elsewhere in one,
/// DtypeError for i64, RankFailed where another rank does not come any more.
TAPEGRAD_API Tensor all_reduce(const Tensor& x, Communicator& communicator);

}  // namespace tapegrad::nn
