#pragma once

#include <cstdint>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/op.h>

/// How the losses write their gradients.
namespace tapegrad::detail {

/// Writes derivative(j) to each element j of the gradient of an input, or adds it.
template <class T, class Op, class F>
void write_elements(VjpContext<Op>& ctx, std::size_t input, F&& derivative) {
  ctx.accumulate(input, [&](Tensor& destination, bool add) {
    T* const to = TensorAccess::data_as<T>(destination);
    parallel_ranges(destination.size(), kRangeLength, [&](std::int64_t begin, std::int64_t end) {
      dispatch_isa([&] {
        if (add)
          simd_for(end - begin, [&](std::int64_t j) { to[begin + j] += derivative(begin + j); });
        else
          simd_for(end - begin, [&](std::int64_t j) { to[begin + j] = derivative(begin + j); });
      });
    });
  });
}

}  // namespace tapegrad::detail
