#pragma once

#include <vector>

#include "runner.h"

namespace tapegrad::bench {

/// The workloads that run inside this process, in the order of the table.
std::vector<Workload> workloads();
/// The scalar tape and a training step at growing sizes, called nodes-N, batch-N and width-N.
std::vector<Workload> growing_workloads();

}  // namespace tapegrad::bench
