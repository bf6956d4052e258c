// What a trainer does with ranks.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/format.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/bucket.h>
#include <tapegrad/nn/distributed/fingerprint.h>
#include <tapegrad/nn/distributed/rank_step.h>
#include <tapegrad/nn/distributed/synchronised.h>
#include <tapegrad/nn/train/checkpoint_broadcast.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/nn/train/update_guards.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// So many items tell data sets apart. All of them would be read once more, and the data may be files.
constexpr std::int64_t kCompared = 16;

/// A fact for some items from all over the data.
void append_items(Facts& facts, const Dataset& data) {
  const std::int64_t count = std::min(kCompared, data.size());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = i * (data.size() - 1) / std::max<std::int64_t>(count - 1, 1);
    Fingerprint print;
    batching::for_each(data.gather({&index, 1}), [&](std::string_view name, Tensor& tensor) {
      print.add(name);
      print.add(fmt::format("{} {}", name_of(tensor.dtype()), to_string(tensor.shape())));
      print.add(bytes_of(tensor));
    });
    facts.emplace_back(fmt::format("item {} of the training data", index),
                       fmt::format("one of the fingerprint {:016x}", print.value()));
  }
}

/// A fact for the rates of some updates ahead, the next one too: a schedule is a function, which may know no others.
void append_rates(Facts& facts, const optim::Schedule& schedule, std::int64_t next, std::int64_t last) {
  if (!schedule.defined()) return;
  for (std::int64_t ahead = 1; ahead <= last - next; ahead *= 2) {
    const std::int64_t update = next + ahead;  // counted from 1
    facts.emplace_back(fmt::format("the rate of update {}", update), fmt::format("{}", schedule(update - 1)));
    if (ahead > last / 2) break;
  }
}

}  // namespace

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
  const std::int64_t rest = options_.drop_last ? 0 : training.size() % options_.batch;
  require_items_for_all(options_.data_parallel, net_, rest > 0 ? rest : options_.batch, rest > 0);
}

/// Before the first update: all ranks have the same rates ahead of them and, where strict training promises bits, the
/// same data, of which the networks make the same. A sample of each is compared.
void Trainer::compare_work(const Dataset& training) {
  if (ranks().size() == 1) return;
  Facts facts;
  append_rates(facts, options_.schedule, iteration_, last_);
  if (options_.data_parallel.strict) append_items(facts, training);
  require_same(ranks(), "trainer", facts);
  // What is never evaluated may fit the network only when it has been transformed.
  if (!options_.data_parallel.strict || !options_.evaluate_training || training.size() == 0) return;
  const std::int64_t count = std::min(kCompared, training.size());
  const Score score = evaluate(net_, forward_, training.head(count), options_.objective, count,
                               options_.evaluation_transform);
  const auto fact = [&](const char* of, double value) {
    return Facts::value_type(fmt::format("the {} of the first {} items", of, count),
                             fmt::format("{:a}", tapegrad::detail::shown(value)));
  };
  require_same(ranks(), "trainer", {fact("loss", score.loss), fact("metric", score.metric)});
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
