#include <tapegrad/ops/map_sum.h>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::detail {

std::int64_t count_for_mean(const Shape& shape, AxisMask axes) {
  const std::int64_t count = reduced_count(shape, axes);
  if (count == 0)
    throw ArgumentError(
        fmt::format("map_mean: inputs that broadcast to the shape {} have no elements along the axes to "
                    "reduce; the result is not "
                    "defined",
                    to_string(shape)));
  return count;
}

}  // namespace tapegrad::detail
