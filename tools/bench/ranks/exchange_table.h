#pragma once

#include <cstdint>
#include <vector>

#include <tapegrad/nn/distributed/communicator.h>

#include "cost_model.h"

namespace tapegrad::bench {

/// Measures all_reduce and the ordered sum of rows of 1, 4, 16, ... floats up to `most`: medians of runs of about so
/// many seconds, of the two by turns. Collective; the times are those of rank 0.
std::vector<CollectiveTime> measure_exchange(nn::Communicator& communicator, std::int64_t most,
                                             double seconds);

}  // namespace tapegrad::bench
