#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/nn/train/evaluate.h>
#include <tapegrad/nn/train/metrics.h>

namespace tapegrad::nn {

Objective::Objective() : loss_(SoftmaxWithLoss()), metric_(accuracy) {}

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
  if (data.size() == 0) throw ArgumentError("evaluate: the data set has no items");
  const EvaluationMode mode(net);
  const Pause pause;
  Score sum{0, 0};
  for (const Batch& b : in_order(data, batch, transform, workers)) {
    if (interrupted && interrupted->load(std::memory_order_relaxed)) return std::nullopt;
    const Tensor y = forward(b);
    const Tensor& t = b["t"];
    const auto n = static_cast<double>(b.size());
    sum.loss += n * objective.loss(y, t).item();
    sum.metric += n * objective.metric(y, t);
  }
  const auto total = static_cast<double>(data.size());
  return Score{sum.loss / total, sum.metric / total};
}

}  // namespace tapegrad::nn
