#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::bench {

/// What rank 0 has decided. Collective.
inline std::int64_t of_root(nn::Communicator& communicator, std::int64_t number) {
  communicator.broadcast(std::as_writable_bytes(std::span(&number, 1)));
  return number;
}

/// The middle one; of an even number the upper of the two. There must be one.
inline double middle_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace tapegrad::bench
