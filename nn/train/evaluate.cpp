#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/nn/train/evaluate.h>
#include <tapegrad/nn/train/metrics.h>

namespace tapegrad::nn {

Objective::Objective() : loss_(SoftmaxWithLoss()), metric_(accuracy) {}

namespace {

/// Puts a network into evaluation mode while it lives. Parts of it may have a mode of their own, which they
/// get back.
class InEvaluation final : Visitor {
 public:
  explicit InEvaluation(ModuleBase& net) {
    module({}, net);
    net.eval();
  }
  // Outer modules first: train() reaches the inner ones too.
  ~InEvaluation() override {
    for (const auto& [m, training] : modes_) m->train(training);
  }

 private:
  void module(std::string_view, ModuleBase& m) override {
    modes_.emplace_back(&m, m.training());
    m.visit(*this);
  }
  std::vector<std::pair<ModuleBase*, bool>> modes_;
};

}  // namespace

Forward forward_of(Module& net) {
  return [&net](const Batch& b) { return net(b.x); };
}

Score evaluate(Module& net, const Dataset& data, const Objective& objective, std::int64_t batch) {
  return evaluate(net, forward_of(net), data, objective, batch);
}

Score evaluate(ModuleBase& net, const Forward& forward, const Dataset& data, const Objective& objective,
               std::int64_t batch) {
  if (data.size() == 0) throw ArgumentError("evaluate: the data set has no items");
  const InEvaluation mode(net);
  const Pause pause;
  Score sum{0, 0};
  for (const Batch& b : in_order(data, batch)) {
    const Tensor y = forward(b);
    const auto n = static_cast<double>(b.size());
    sum.loss += n * objective.loss(y, b.t).item();
    sum.metric += n * objective.metric(y, b.t);
  }
  const auto total = static_cast<double>(data.size());
  return {sum.loss / total, sum.metric / total};
}

}  // namespace tapegrad::nn
