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
#include <tapegrad/nn/distributed/fingerprint.h>
#include <tapegrad/nn/distributed/rank_step.h>
#include <tapegrad/nn/distributed/synchronised.h>
#include <tapegrad/nn/forward_state.h>
#include <tapegrad/nn/train/checkpoint_broadcast.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/nn/train/update_guards.h>

#include <fmt/format.h>

namespace tapegrad::nn {

/// Before training: all ranks have the same network, settings and data, and take the values of rank 0.
void Trainer::join_ranks(const Dataset& training, const Dataset& validation) {
  Communicator& communicator = ranks();
  Facts facts{{"the number of updates so far", fmt::format("{}", iteration_)},
              {"the number of items", fmt::format("{}", training.size())},
              {"the number of items to validate", fmt::format("{}", validation.size())}};
  for (auto& fact : describe_settings()) facts.push_back(std::move(fact));
  facts.emplace_back("bucket_bytes", fmt::format("{}", options_.data_parallel.bucket_bytes));
  facts.emplace_back("synchronised layers", describe_synchronised_layers(net_));
  facts.emplace_back("checkpoint_every", fmt::format("{}", options_.checkpoint_every));
  // Rank 0 alone writes them, and all come together for it.
  facts.emplace_back("checkpoint_folder", options_.checkpoint_folder.empty() ? "not given" : "given");
  facts.emplace_back("best_file", options_.best_file.empty() ? "not given" : "given");
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
  const std::int64_t rest = options_.drop_last ? 0 : training.size() % options_.batch;
  require_items_for_all(options_.data_parallel, net_, rest > 0 ? rest : options_.batch, rest > 0);
}

/// Before the first update: all ranks have the same data and, where strict training promises bits, networks that make
/// the same of them. A sample is compared.
void Trainer::compare_work(const Dataset& training, const Dataset& validation) {
  if (ranks().size() == 1) return;
  require_same(ranks(), "trainer", facts_of(training, "the training data"));
  require_same(ranks(), "trainer", facts_of(validation, "the validation data"));
  // What is never evaluated may fit the network only when it has been transformed.
  if (!options_.data_parallel.strict || !options_.evaluate_training || training.size() == 0) return;
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
    facts.emplace_back(fmt::format("parameter '{}'", name),
                       fmt::format("one of the fingerprint {:016x}", print.value()));
  }
  require_same(ranks(), fmt::format("trainer: after update {}", iteration_), facts);
}

/// The same by ranks, of a batch of so many items.
BatchGradients Trainer::compute_on_ranks(Batches::Iterator& pieces, std::int64_t items) {
  return rank_step_->run(net_, pieces, items, optimizer_.lr(), [&](const Batch& batch) {
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
