// What a trainer does with ranks.
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/rank_step.h>
#include <tapegrad/nn/distributed/synchronised.h>
#include <tapegrad/nn/train/checkpoint_broadcast.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/nn/train/update_guards.h>

#include <fmt/format.h>

namespace tapegrad::nn {

/// Before training: all ranks have the same network, settings and data, and take the values of rank 0.
void Trainer::join_ranks(const Dataset& training, const Dataset& validation) {
  Communicator& communicator = ranks();
  Facts facts{{"the number of items", fmt::format("{}", training.size())},
              {"the number of items to validate", fmt::format("{}", validation.size())}};
  for (auto& fact : describe_settings()) facts.push_back(std::move(fact));
  facts.emplace_back("bucket_bytes", fmt::format("{}", options_.data_parallel.bucket_bytes));
  facts.emplace_back("synchronised layers", describe_synchronised_layers(net_));
  facts.emplace_back("checkpoint_every", fmt::format("{}", options_.checkpoint_every));
  for (auto& fact : facts_of(net_.parameters())) facts.push_back(std::move(fact));
  State all = state();
  for (const auto& [name, tensor] : all)
    facts.emplace_back(fmt::format("'{}' of its state", name),
                       fmt::format("{} {}", name_of(tensor.dtype()), to_string(tensor.shape())));
  require_same(communicator, "trainer", facts);
  for (auto& [name, tensor] : all)
    if (tensor.size() > 0) communicator.broadcast(bytes_of(tensor));
  if (!communicator.is_root()) load_state(all);
  rank_step_ = std::make_unique<RankStep>(options_.data_parallel, net_);
  const std::int64_t rest = training.size() % options_.batch;
  require_items_for_all(options_.data_parallel, net_,
                        rest > 0 && !options_.drop_last ? rest : options_.batch);
}

/// The same by ranks, of a batch of so many items.
BatchGradients Trainer::compute_on_ranks(Batches::Iterator& pieces, std::int64_t items) {
  return rank_step_->run(net_, pieces, items, [&](const Batch& batch) {
    const Tensor y = forward_(batch);
    PieceResult result{.loss = options_.objective.loss(y, batch["t"])};
    if (!std::isfinite(result.loss.item())) result.culprit = culprit_in(batch);
    if (!options_.evaluate_training) result.metric = options_.objective.metric(y, batch.t);
    return result;
  });
}

Resumed Trainer::resume(const std::string& path) {
  if (!has_ranks()) return resume(load_checkpoint(path));
  Communicator& communicator = ranks();
  Checkpoint checkpoint;
  at_root(communicator, [&] { checkpoint = load_checkpoint(path); });
  return resume(broadcast(communicator, checkpoint));
}

}  // namespace tapegrad::nn
