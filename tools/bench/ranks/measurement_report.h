#pragma once

#include <string>

#include "measurement.h"

namespace tapegrad::bench {

/// Tables of what was measured on one number of ranks: collectives; of each task the steps, how many times as fast as
/// one rank of one thread they are, what the exchange takes, how much of it overlap hides, and what a rank sends.
std::string report(const RanksMeasurement& measurement);

}  // namespace tapegrad::bench
