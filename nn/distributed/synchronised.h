#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/nn/distributed/data_parallel.h>
#include <tapegrad/nn/module.h>

/// Layers whose forward and backward pass exchange numbers with other ranks. Not part of the library's interface.
namespace tapegrad::nn {

/// Those of a network, each with its path ("" for the network itself) and its communicator, in the order of visiting.
std::vector<std::pair<std::string, const Communicator*>> synchronised_layers(ModuleBase& net);

/// Their paths, as ranks compare them.
std::string describe_synchronised_layers(ModuleBase& net);

/// How ranks share the training of this network: where it has synchronised layers gradients are not exchanged while
/// backward still runs, since the layers exchange theirs then, and one thread of a rank calls at a time. Throws
/// ArgumentError where a layer has another communicator, or where a rank has several micro-batches: they run one after
/// the other, and a layer would see one from each rank.
DataParallel with_synchronised_layers(const DataParallel& options, ModuleBase& net);

/// While it lives, this thread makes a step of ranks whose network declares no exchange: nn::all_reduce over this
/// communicator is refused. Null refuses nothing.
class NoExchange {
 public:
  explicit NoExchange(const Communicator* communicator) noexcept;
  ~NoExchange();
  NoExchange(const NoExchange&) = delete;
  NoExchange& operator=(const NoExchange&) = delete;

 private:
  const Communicator* before_;
};
/// Throws ArgumentError where an exchange is refused.
void require_may_exchange(const Communicator& communicator);

/// Throws ArgumentError for synchronised layers where a batch of so many items, the smallest, leaves a rank without
/// items: it has nothing to compute, and the others would wait for it in the layer. `is_rest`: it is the last one of
/// an epoch, which is not full.
void require_items_for_all(const DataParallel& options, ModuleBase& net, std::int64_t items, bool is_rest);

}  // namespace tapegrad::nn
