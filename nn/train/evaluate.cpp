#include <span>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/data/shard.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/forward_state.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/nn/train/evaluate.h>
#include <tapegrad/nn/train/metrics.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {
/// From the pool, as a network is evaluated again and again.
using Numbers = std::vector<double, tapegrad::detail::PoolAllocator<double>>;

/// `start(i)` is called before batch i.
template <class Start>
std::optional<Score> measure(const std::atomic<bool>* interrupted, Communicator& communicator,
                             ModuleBase& net, const Forward& forward, const Dataset& data,
                             const Objective& objective, std::int64_t batch, const Transform& transform,
                             std::int64_t workers, const Start& start) {
  if (data.size() == 0) throw ArgumentError("evaluate: the data set has no items");
  const std::int64_t rank = communicator.rank(), ranks = communicator.size();
  if (ranks > 1)
    require_same(communicator, "evaluate", {{"the number of items", fmt::format("{}", data.size())}});
  Batches share = share_in_order(data, batch, transform, workers, rank, ranks);
  const EvaluationMode mode(net);
  const Pause pause;
  const std::int64_t batches = batch_count(data.size(), batch);
  const std::int64_t most = batch_count(batches, ranks);  // of one rank
  // Of each batch the sums over its items; behind them, whether the rank was interrupted.
  Numbers own(static_cast<std::size_t>(2 * most + 1));
  std::size_t at = 0;
  std::int64_t number = piece_begin(rank, ranks, batches);
  const auto is_interrupted = [&] { return interrupted && interrupted->load(std::memory_order_relaxed); };
  if (share.size() == 0 && is_interrupted()) own.back() = 1;
  for (const Batch& b : share) {
    if (is_interrupted()) {
      own.back() = 1;
      break;
    }
    start(number++);
    const Tensor y = forward(b);
    const Tensor& t = b["t"];
    const auto n = static_cast<double>(b.size());
    own[at++] = n * objective.loss(y, t).item();
    own[at++] = n * objective.metric(y, t);
  }
  Numbers all(own.size() * static_cast<std::size_t>(ranks));
  communicator.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  Score sum{0, 0};
  for (std::int64_t r = 0; r < ranks; ++r) {
    const double* of_rank = all.data() + static_cast<std::size_t>(r) * own.size();
    if (of_rank[own.size() - 1] != 0) return std::nullopt;
    for (std::int64_t i = piece_begin(r, ranks, batches); i < piece_begin(r + 1, ranks, batches); ++i) {
      sum.loss += *of_rank++;
      sum.metric += *of_rank++;
    }
  }
  const auto total = static_cast<double>(data.size());
  return Score{sum.loss / total, sum.metric / total};
}

/// A network whose evaluation leaves no trace: what a batch draws does not depend on which rank evaluates those before,
/// and what forward has left in buffers would be of this rank's batches.
class WithoutTrace {
 public:
  WithoutTrace(ModuleBase& net, int ranks) : before_(net), ranks_(ranks) {}
  ~WithoutTrace() {
    before_.restore_generators();
    if (ranks_ > 1) before_.restore_buffers();
  }
  WithoutTrace(const WithoutTrace&) = delete;
  WithoutTrace& operator=(const WithoutTrace&) = delete;
  void start(std::int64_t batch) const { before_.start_part(batch); }

 private:
  ForwardState before_;
  int ranks_;
};

}  // namespace

Objective::Objective() : Objective(SoftmaxWithLoss(), accuracy) {}

Tensor Objective::loss(const Tensor& y, const Tensor& t) const {
  Tensor loss = loss_(y, t);
  if (loss.size() != 1)
    throw ShapeError(
        fmt::format("objective: the loss of outputs {} is of shape {}; it must be one number, as mean(loss)",
                    to_string(y.shape()), to_string(loss.shape())));
  return loss;
}

Forward forward_of(Module& net) {
  return [&net](const Batch& b) { return net(b["x"]); };
}

Score evaluate(Module& net, const Dataset& data, const Objective& objective, std::int64_t batch,
               const Transform& transform, std::int64_t workers) {
  return evaluate(net, forward_of(net), data, objective, batch, transform, workers);
}

Score evaluate(ModuleBase& net, const Forward& forward, const Dataset& data, const Objective& objective,
               std::int64_t batch, const Transform& transform, std::int64_t workers) {
  return *evaluate_unless(nullptr, net, forward, data, objective, batch, transform, workers);
}

std::optional<Score> evaluate_unless(const std::atomic<bool>* interrupted, ModuleBase& net,
                                     const Forward& forward, const Dataset& data, const Objective& objective,
                                     std::int64_t batch, const Transform& transform, std::int64_t workers) {
  OneRank one;
  return measure(interrupted, one, net, forward, data, objective, batch, transform, workers,
                 [](std::int64_t) {});
}

std::optional<Score> evaluate_unless(const std::atomic<bool>* interrupted, Communicator& communicator,
                                     ModuleBase& net, const Forward& forward, const Dataset& data,
                                     const Objective& objective, std::int64_t batch,
                                     const Transform& transform, std::int64_t workers) {
  const WithoutTrace trace(net, communicator.size());
  return measure(interrupted, communicator, net, forward, data, objective, batch, transform, workers,
                 [&](std::int64_t i) { trace.start(i); });
}

}  // namespace tapegrad::nn
