#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/nn/distributed/communicator.h>

#include "measurement.h"

namespace tapegrad::bench {

struct RanksOptions {
  std::vector<std::string> tasks{"W2", "W3", "W4b"};
  double seconds = 30;  ///< of a task, about; each run makes some updates at least
  int rounds =
      5;  ///< each measures all setups, so that what slows down the machine for a while slows down all
  std::int64_t most_floats = std::int64_t{1} << 24;  ///< in a row of the table of collectives
  double delay = 1e-3;                               ///< of Partners::delayed
};

/// Steps of a strict training that are measured beside those with a micro-batch for each rank.
inline constexpr std::int64_t kMicroBatches = 8;

/// Measures all. Collective; the result is on rank 0. rest() is a barrier in which a rank that waits takes no time of a
/// processor, for ranks that share one with the rank that is measured; say(line) tells rank 0's user how it goes.
/// Throws what make_net_task does, and ArgumentError for a task of a single batch.
RanksMeasurement measure_ranks(nn::Communicator& communicator, const RanksOptions& options,
                               const Callback<void()>& rest, const Callback<void(const std::string&)>& say);

}  // namespace tapegrad::bench
