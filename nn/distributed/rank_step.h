#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include <tapegrad/graph/gradients.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/data/shard.h>
#include <tapegrad/nn/distributed/bucket_sums.h>
#include <tapegrad/nn/distributed/data_parallel.h>
#include <tapegrad/nn/forward_state.h>
#include <tapegrad/nn/module.h>

/// Gradients of a batch that several ranks share. Not part of the library's interface.
namespace tapegrad::nn {

/// What ranks have computed together, the same on all.
struct BatchGradients {
  Gradients gradients{};  ///< none where the loss is not finite
  double loss = 0;        ///< mean over the items
  double metric = 0;      ///< likewise
  std::string
      culprit{};  ///< where the loss is not finite: " in micro-batch 3 of 8", and what is wrong with that
};

/// What one micro-batch gives.
struct PieceResult {
  Tensor loss{};          ///< as recorded
  double metric = 0;      ///< where it is asked for
  std::string culprit{};  ///< where the loss is not finite: why
};

/// A step of training on ranks: forward and backward of this rank's micro-batches, and the sum over all.
class RankStep {
 public:
  /// Where the parameters and buffers of the network stand, which stay what they are. Throws ArgumentError for more
  /// ranks than micro-batches, and for synchronised layers that cannot work so (with_synchronised_layers).
  RankStep(const DataParallel& options, ModuleBase& net);

  /// What a loader makes for this rank.
  Shard shard() const noexcept { return {pieces_, sums_.first(), sums_.last() - sums_.first()}; }
  /// `lr` is the rate of the update, which all ranks have to have the same. Runs `forward` on each of this rank's micro-batches of a batch of so many items, from `pieces` on, which then
  /// stands at the last of them, and leaves the network with the buffers and generators that all ranks agree on.
  /// Collective. Throws ArgumentError for a gradient of a parameter that the network does not list, for rates
  /// that differ and buffers that change their shape, and what `forward` throws.
  BatchGradients run(ModuleBase& net, Batches::Iterator& pieces, std::int64_t items, double lr,
                     const std::function<PieceResult(const Batch&)>& forward);

 private:
  class Measured;
  std::vector<Tensor> list(ModuleBase& net);
  std::int64_t items_of(std::int64_t piece, std::int64_t items) const;
  BatchGradients agree(const Measured& own, std::int64_t items);
  void differentiate(Tape& tape, const Tensor& loss, double share, const ForwardState& before);

  Communicator& communicator_;
  std::int64_t pieces_;
  bool declares_exchange_;   ///< a layer that exchanges in forward says so: see ModuleBase::communicator
  std::size_t buffers_ = 0;  ///< the floating ones, in the order of visiting, are first in what is summed
  std::vector<Parameter> parameters_{};                       ///< and these follow
  std::unordered_map<std::uint64_t, std::size_t> numbers_{};  ///< of parameters, by their ids
  std::vector<std::uint8_t> comes_{};  ///< in the micro-batch at hand; see BucketSums::begin_term
  std::vector<std::uint8_t> used_{};   ///< in the batch, by any rank
  BucketSums sums_;
};

}  // namespace tapegrad::nn
