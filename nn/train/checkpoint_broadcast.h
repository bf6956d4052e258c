#pragma once

#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/nn/train/checkpoint.h>

namespace tapegrad::nn {

/// The checkpoint of rank 0 on all ranks; what the others give is not looked at. Not part of the library's interface.
Checkpoint broadcast(Communicator& communicator, const Checkpoint& checkpoint);

}  // namespace tapegrad::nn
