#include "cli/ranks.h"

#include <tapegrad/nn/distributed/mpi/run_with_mpi.h>

namespace tapegrad::cli {

int on_ranks(const Callback<int(nn::Communicator&)>& run) { return nn::run_with_mpi(run); }

}  // namespace tapegrad::cli
