#pragma once

#include <cstdint>

#include <tapegrad/nn/distributed/communicator.h>

namespace tapegrad::nn {

/// How a trainer shares its work among ranks: each has a network and an optimizer of its own, all with the same values
/// at any time.
///
/// Each batch is cut into micro-batches, of which a rank takes some neighbours, with forward and backward for each.
/// What looks at a whole batch looks at a micro-batch: the statistics of BatchNorm, a Transform; buffers become the
/// mean of what the micro-batches make of them. Dropout draws for each micro-batch from a generator of its own. So the
/// numbers depend on how many micro-batches there are, and with `strict` not on the number of ranks: gradients are
/// added along a tree over the micro-batches, whoever has them.
struct DataParallel {
  Communicator* communicator = nullptr;  ///< null: no ranks; it must outlive the trainer
  /// The weights have the same bits for any number of ranks, one too, and any number of threads. Otherwise there is one
  /// micro-batch for each rank, and sums are taken in the communicator's order.
  bool strict = true;
  /// Where strict; at least as many as ranks, and beyond 8 at most as many as a batch has items.
  std::int64_t micro_batches = 8;
  /// Gradients are exchanged while backward still computes those of earlier layers, on a thread of its own. The bits
  /// are the same without.
  bool overlap = true;
  /// Gradients of so many bytes are exchanged at once; one that has them alone is exchanged by itself, without a copy.
  std::int64_t bucket_bytes = std::int64_t{4} << 20;

  /// How many micro-batches there are.
  std::int64_t pieces() const noexcept { return strict ? micro_batches : communicator->size(); }
};

}  // namespace tapegrad::nn
