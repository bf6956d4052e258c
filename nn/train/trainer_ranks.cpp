// What a trainer does with ranks.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <tapegrad/graph/format.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/rank_step.h>
#include <tapegrad/nn/distributed/synchronised.h>
#include <tapegrad/nn/forward_state.h>
#include <tapegrad/nn/train/checkpoint_broadcast.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/nn/train/update_guards.h>

#include <fmt/format.h>

namespace tapegrad::nn {

/// What all ranks must have the same.
Facts Trainer::facts(const Dataset& training, const Dataset& validation) const {
  Facts all{{"the number of updates so far", fmt::format("{}", iteration_)}};
  const auto append = [&](Facts more) {
    for (auto& fact : more) all.push_back(std::move(fact));
  };
  append(facts_of(training, "the training data"));
  append(facts_of(validation, "the validation data"));
  append(describe_settings());
  all.emplace_back("bucket_bytes", fmt::format("{}", options_.data_parallel.bucket_bytes));
  all.emplace_back("synchronised layers", describe_synchronised_layers(net_));
  all.emplace_back("checkpoint_every", fmt::format("{}", options_.checkpoint_every));
  // Rank 0 alone writes them, and all come together for it.
  all.emplace_back("checkpoint_folder", options_.checkpoint_folder.empty() ? "not given" : "given");
  all.emplace_back("best_file", options_.best_file.empty() ? "not given" : "given");
  append(facts_of(net_.parameters()));
  for (const auto& [name, tensor] : state())
    all.emplace_back(fmt::format("'{}' of its state", name), describe(tensor));
  return all;
}

/// Before training: all ranks have the same network, settings and data, and take the values of rank 0.
void Trainer::join_ranks(const Dataset& training, const Dataset& validation) {
  Communicator& communicator = ranks();
  if (communicator.size() > 1) require_same(communicator, "trainer", facts(training, validation));
  State all = state();
  for (auto& [name, tensor] : all)
    if (tensor.size() > 0) communicator.broadcast(bytes_of(tensor));
  if (!communicator.is_root()) load_state(all);
  rank_step_ = std::make_unique<RankStep>(options_.data_parallel, net_);
  const std::int64_t rest = options_.drop_last ? 0 : training.size() % options_.batch;
  require_items_for_all(options_.data_parallel, net_, rest > 0 ? rest : options_.batch, rest > 0);
}

/// Before the first update: where strict training promises bits, networks and objectives of all ranks make the same of
/// some items.
void Trainer::compare_scores(const Dataset& training) {
  // What is never evaluated may fit the network only when it has been transformed.
  if (ranks().size() == 1 || !options_.data_parallel.strict || !options_.evaluate_training ||
      training.size() == 0)
    return;
  constexpr std::int64_t kMost = 16;
  const std::int64_t count = std::min(kMost, training.size());
  const ForwardState before(net_);
  const Score score = evaluate(net_, forward_, training.head(count), options_.objective, count,
                               options_.evaluation_transform);
  before.restore();
  const auto fact = [&](const char* of, double value) {
    return Facts::value_type(fmt::format("the {} of the first {} items", of, count),
                             fmt::format("{:a}", tapegrad::detail::shown(value)));
  };
  require_same(ranks(), "trainer", {fact("loss", score.loss), fact("metric", score.metric)});
}

/// After an epoch: a callback may have changed weights or gradients on one rank, and the ranks would drift apart.
void Trainer::compare_weights() {
  if (ranks().size() == 1) return;
  Facts facts;
  for (auto [name, parameter] : net_.parameters()) {
    Tensor value = parameter.data();
    Fingerprint print;
    print.add(bytes_of(value));
    facts.push_back(fact_of(fmt::format("parameter '{}'", name), print));
  }
  require_same(ranks(), fmt::format("trainer: after update {}", iteration_), facts);
}

/// The same by ranks, of a batch of so many items.
BatchGradients Trainer::compute_on_ranks(Batches::Iterator& pieces, std::int64_t items) {
  return rank_step_->run(net_, pieces, items, optimizer_.lr(), [&](const Batch& batch) {
    const Tensor y = forward_(batch);
    PieceResult result{.loss = options_.objective.loss(y, batch["t"])};
    if (!std::isfinite(result.loss.item())) result.culprit = culprit_in(batch, optimizer_.steps());
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

/// Whether training is to end, on any rank. All ranks have diverged, or none has: they have the same gradients, but for
/// what a callback makes of them.
bool Trainer::is_stopped(bool diverged) {
  const bool stopped = stop_.load(std::memory_order_relaxed) ||
                       (options_.interrupted && options_.interrupted->load(std::memory_order_relaxed));
  std::array<std::int64_t, 2> count{stopped, diverged};
  ranks().all_reduce(std::span(count));
  if (count[1] != 0 && count[1] != ranks().size())
    throw ArgumentError(fmt::format(
        "trainer: the ranks differ: a gradient is not finite on {} of {}; callbacks have to make the same of "
        "gradients on all ranks",
        count[1], ranks().size()));
  return count[0] > 0;
}

}  // namespace tapegrad::nn
