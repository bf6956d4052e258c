#pragma once

#include <tapegrad/graph/callback.h>
#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::cli {

/// Calls run(communicator) as one of the ranks that mpirun has started, or as the only one, and returns what it
/// returns. The program tapegrad becomes tapegrad_mpi for it, which lies beside it and starts the command again. Throws
/// FileError where there is none.
int on_ranks(const Callback<int(nn::Communicator&)>& run);

}  // namespace tapegrad::cli
