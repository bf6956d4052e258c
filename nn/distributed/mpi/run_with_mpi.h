#pragma once

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/nn/distributed/communicator.h>

/// Ranks that are processes, started by mpirun on one machine or several. In the library tapegrad_distributed, which
/// links MPI: find_package(tapegrad COMPONENTS distributed), tapegrad::distributed.
namespace tapegrad::nn {

/// Calls run(communicator), this process being one of MPI's ranks, and returns what it returns, for main to return:
///
///     int main() {
///       return nn::run_with_mpi([](nn::Communicator& comm) {
///         Net net;
///         ...
///         return 0;
///       });
///     }
///
/// A program that is started without mpirun is the only rank. Where `run` throws, the message is printed on stderr,
/// behind the number of the rank, and MPI ends all ranks with exit code 1; where all ranks throw at once rank 0 alone
/// prints. MPI is initialised, for one thread that calls it at a time, and finalised behind `run`, unless the program
/// has initialised it. A rank that returns while others still wait for it is waited for, as MPI does. To be called
/// once, as MPI cannot be initialised again. Throws Error for another call, where the program has initialised MPI for
/// one thread alone, and where MPI refuses.
TAPEGRAD_API int run_with_mpi(const Callback<int(Communicator&)>& run);

}  // namespace tapegrad::nn
