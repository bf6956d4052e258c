#pragma once

#include <vector>

#include "runner.h"

/// Losses of the library beside the same written by a user, as one formula with its mean.
namespace tapegrad::bench {

/// losses-WHAT-N: the loss WHAT of N predictions and its gradient, for mse, huber and bce, the binary cross entropy of
/// logits.
std::vector<Workload> loss_workloads();

/// Measures one of them by both, in turns: more and shorter ones than those of other workloads. With one thread it is
/// the processor's time that counts.
std::vector<Measurement> measure_losses(const Workload& loss, const RunnerOptions& options);

}  // namespace tapegrad::bench
