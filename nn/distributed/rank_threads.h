#pragma once

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::nn {

/// Calls run(communicator) on `ranks` threads at once, each of them a rank with network, optimizer and trainer of its
/// own, and returns when all have returned:
///
///     nn::run_on_threads(4, [&](nn::Communicator& comm) {
///       Net net;
///       ...
///     });
///
/// For tests, and for hosts without MPI. A rank that throws releases the others, which then throw RankFailed where they
/// wait for it, and so does one that returns while others still wait. What the failed rank has thrown is thrown here,
/// of several the one of the lowest rank; it names the rank only in the messages of the others. Throws ArgumentError
/// for fewer than one rank, OutOfMemory where the system gives no threads.
TAPEGRAD_API void run_on_threads(int ranks, const Callback<void(Communicator&)>& run);

}  // namespace tapegrad::nn
