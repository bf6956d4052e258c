#pragma once

#include <algorithm>
#include <cstdint>

#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/parallel.h>

namespace tapegrad::detail {

/// How many of `out` results have their sums made at once, `sums` for each of them, so that they stay in the second
/// level of cache, or not far from it: whole panels of two vectors or, of few results, whole vectors.
inline std::int64_t width_of_slices(std::int64_t out, std::int64_t sums, std::int64_t lanes) {
  constexpr std::int64_t kNearSums = 1 << 19;
  const std::int64_t panel = 2 * lanes;
  const std::int64_t most = std::max<std::int64_t>(1, kNearSums / (sums * panel));
  const std::int64_t panels = even_blocks(blocks_of(out, panel), most);
  return std::min(blocks_of(out, lanes) * lanes, panels * panel);
}

}  // namespace tapegrad::detail
