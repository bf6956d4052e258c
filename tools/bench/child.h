#pragma once

#include <string>
#include <vector>

#include "runner.h"

namespace tapegrad::bench {

/// Measures the contenders that have a program of their own (bench_startup_NAME, beside this one): how long a
/// first training step takes from the start of the process, the memory at its peak, the libraries it loads
/// and the size of all files it runs. Throws Error where such a program fails.
std::vector<Measurement> measure_startup(const RunnerOptions& options);

/// The memory of a training step of this task (see make_net_task), parameters included, in MB, and "needed":
/// what backward cannot do without.
std::vector<Measurement> measure_memory(const std::string& workload, const std::string& task);

}  // namespace tapegrad::bench
