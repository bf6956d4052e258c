#pragma once

#include <cstdint>

#include <tapegrad/graph/nothing.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/op.h>

/// How the losses write their gradients.
namespace tapegrad::detail {

/// Writes or adds derivative(j) to each element j of the gradient of an input.
template <class T, class Op, class F>
void write_elements(VjpContext<Op>& ctx, std::size_t input, F&& derivative) {
  const std::int64_t n = ctx.input_shape(input).size();
  ctx.template accumulate<T>(input, [&](Destination<T> to) {
    parallel_elements(n, [&](std::int64_t begin, std::int64_t end) {
      dispatch_isa(
          [&] { (to + begin).put(end - begin, [&](std::int64_t j) { return derivative(begin + j); }); });
    });
  });
}

/// The gradients of a loss whose own gradient is 0.
template <class Op>
void add_nothing(VjpContext<Op>& ctx) {
  for (std::size_t i = 0; i < ctx.inputs(); ++i)
    if (ctx.needs_grad(i)) ctx.add(i, Tensor::full(ctx.input_shape(i), kNothing, ctx.input_dtype(i)));
}

}  // namespace tapegrad::detail
