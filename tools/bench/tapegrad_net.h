#pragma once

#include <memory>

#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/optim/optimizer.h>

#include "tasks.h"

/// A training task as a user of the library writes it.
namespace tapegrad::bench {

nn::Dataset dataset_of(const NetTask& task, const Items& items);
/// With the task's weights.
nn::Sequential network_of(const NetTask& task);
std::unique_ptr<optim::Optimizer> optimizer_of(const NetTask& task, nn::Sequential& net);

}  // namespace tapegrad::bench
