#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/shape.h>

namespace tapegrad::detail {

/// How the elements of a broadcast operand lie along the output: runs of neighbouring axes that behave alike
/// are one.
struct BroadcastLayout {
  std::size_t rank = 0;
  std::array<std::int64_t, Shape::kMaxRank> extent{};
  std::array<std::int64_t, Shape::kMaxRank> stride{};  ///< in elements of the operand; 0 along broadcast axes

  BroadcastLayout() = default;
  BroadcastLayout(const Shape& in, const Shape& out) {
    const std::size_t offset = out.rank() - in.rank();
    std::int64_t elements = 1;
    // Built from the innermost axis outward, then turned around.
    for (std::size_t i = out.rank(); i-- > 0;) {
      if (out[i] == 1) continue;
      const bool repeated = i < offset || in[i - offset] == 1;
      const std::int64_t s = repeated ? 0 : elements;
      if (!repeated) elements *= in[i - offset];
      if (rank > 0 && (stride[rank - 1] == 0) == repeated) {
        extent[rank - 1] *= out[i];
      } else {
        extent[rank] = out[i];
        stride[rank++] = s;
      }
    }
    if (rank == 0) extent[rank++] = 1;
    std::reverse(extent.begin(), extent.begin() + static_cast<std::ptrdiff_t>(rank));
    std::reverse(stride.begin(), stride.begin() + static_cast<std::ptrdiff_t>(rank));
  }

  /// Calls f(offset in the operand, run length, stride within the run: 0 or 1) for output elements
  /// [start, start + count).
  template <class F>
  void walk(std::int64_t start, std::int64_t count, F&& f) const {
    std::array<std::int64_t, Shape::kMaxRank> index;
    std::int64_t offset = 0;
    for (std::size_t d = rank; d-- > 0;) {
      index[d] = start % extent[d];
      start /= extent[d];
      offset += index[d] * stride[d];
    }
    const std::size_t inner = rank - 1;
    const std::int64_t step = stride[inner] != 0;
    while (count > 0) {
      const std::int64_t run = std::min(count, extent[inner] - index[inner]);
      f(offset, run, step);
      count -= run;
      index[inner] += run;
      offset += run * step;
      for (std::size_t d = inner; d > 0 && index[d] == extent[d]; --d) {
        offset += stride[d - 1] - extent[d] * stride[d];
        index[d] = 0;
        ++index[d - 1];
      }
    }
  }
};

}  // namespace tapegrad::detail
