#pragma once

#include <vector>

#include "runner.h"

/// One thread beside several: what is too small to share must not take longer where threads wait to help.
namespace tapegrad::bench {

/// threads-WHAT-SIZE: operations of growing sizes, around those from which on threads share them; threads-W1 and so on:
/// the trainings and formulas of workloads().
std::vector<Workload> thread_workloads();

/// Measures one of them by one thread and by as many as the options say, at least two, in turns: more and shorter ones
/// than those of other workloads.
std::vector<Measurement> measure_threads(const Workload& shared, const RunnerOptions& options);

}  // namespace tapegrad::bench
