#pragma once

#include <vector>

#include "runner.h"

/// Single convolutions beside oneDNN's.
namespace tapegrad::bench {

/// Each of a list of layers three times, as conv-forward-64>128x56-3x3s2: that many channels in and out, images of
/// 56 x 56, kernels of 3 x 3 at a stride of 2; "dw" where each channel has a kernel of its own.
std::vector<Workload> convolution_workloads();

}  // namespace tapegrad::bench
