#pragma once

#include <vector>

#include "runner.h"

namespace tapegrad::bench {

/// The workloads that run inside this process, in the order of the table.
std::vector<Workload> workloads();
/// The scalar tape and training steps at growing sizes, called nodes-N, batch-N, width-N, conv_side-N, conv_channels-N
/// and conv_batch-N.
std::vector<Workload> growing_workloads();

}  // namespace tapegrad::bench
