#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/nn/distributed/communicator.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/optim/parameters.h>

namespace tapegrad::nn {

/// The mean over all ranks of the gradients of these parameters, which are matched by name: those of a module, or a
/// list. Each rank has computed them on data of its own, and updates its own network by the same mean:
///
///     Gradients g = tape.backward(loss);
///     g = average(comm, net, g);
///     optimizer.step(g);
///
/// One all_reduce for each dtype. Gradients of watched tensors stay those of this rank. Throws ArgumentError on all
/// ranks, before anything is exchanged, where names, shapes, dtypes or which parameters have a gradient are not the
/// same: it names the first that differs; on this rank for a gradient of a parameter that is not listed.
TAPEGRAD_API Gradients average(Communicator& communicator, const optim::ParameterList& parameters,
                               const Gradients& gradients);

/// Copies the parameters of rank 0 to all. Throws ArgumentError on all ranks where names, shapes or dtypes differ.
TAPEGRAD_API void broadcast(Communicator& communicator, const optim::ParameterList& parameters);
/// The same of a network: its parameters and its buffers, such as the running statistics of BatchNorm.
TAPEGRAD_API void broadcast(Communicator& communicator, ModuleBase& net);

}  // namespace tapegrad::nn
