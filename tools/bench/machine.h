#pragma once

#include <vector>

#include "runner.h"

/// What the machine can do at its best, which shares are shares of.
namespace tapegrad::bench {

/// Per second, with the number of threads that was asked for.
struct MachineLimits {
  double flops = 0;  ///< of the largest square product, by the faster engine
  double bytes = 0;  ///< of a[i] = b[i] + c d[i] over arrays that no cache holds, two reads and a write each
};

/// Measures the limits: the products of each engine, then the triad (McCalpin, STREAM: Sustainable Memory Bandwidth in
/// High Performance Computers). Its workloads are called machine-product and machine-triad.
std::vector<Measurement> measure_machine(const RunnerOptions& options);

/// From what measure_machine has measured: the best run of each, since it is a limit.
MachineLimits limits_of(const std::vector<Measurement>& machine);

}  // namespace tapegrad::bench
