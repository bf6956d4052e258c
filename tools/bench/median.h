#pragma once

#include <algorithm>
#include <vector>

namespace tapegrad::bench {

/// Of an even number of values the mean of the two in the middle. There must be one at least.
inline double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

}  // namespace tapegrad::bench
