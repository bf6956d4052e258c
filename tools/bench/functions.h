#pragma once

#include <vector>

#include "runner.h"

/// Elementary functions, by the loops for each instruction set; those of `base` call <cmath> for most of them.
namespace tapegrad::bench {

/// functions-DTYPE-NAME: the function NAME of 4096 numbers.
std::vector<Workload> function_workloads();

/// Measures one of them with each set that the processor has, in turns: many and short ones. With one thread it is the
/// processor's time that counts.
std::vector<Measurement> measure_functions(const Workload& function, const RunnerOptions& options);

}  // namespace tapegrad::bench
