#include "losses.h"

#include <tapegrad/graph/random.h>
#include <tapegrad/ops/map_sum.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

namespace tapegrad::bench {

namespace {

template <class F>
std::unique_ptr<Program> program_of(const LossTask& task, const F& loss) {
  Generator g(1);
  const Tensor y = uniform({task.count}, g, -2, 2), t = uniform({task.count}, g, 0, 1);
  return make_program([=](std::int64_t calls) {
    Result result;
    for (std::int64_t i = 0; i < calls; ++i) {
      Tape tape;
      const Tensor x = tape.watch(y);
      const Tensor value = loss(x, t);
      const Tensor gradient = tape.grad(value, x);
      if (i + 1 < calls) continue;
      result.value = value.item();
      result.gradient = probe(gradient.values<float>().data(), gradient.size());
    }
    return result;
  });
}

std::unique_ptr<Program> built_in(const LossTask& task) {
  using enum PointLoss;
  switch (task.loss) {
    case mse:
      return program_of(task, [](const Tensor& x, const Tensor& t) { return mse_loss(x, t); });
    case huber:
      return program_of(task, [](const Tensor& x, const Tensor& t) { return huber_loss(x, t); });
    case bce:
      break;
  }
  return program_of(task,
                    [](const Tensor& x, const Tensor& t) { return binary_cross_entropy_with_logits(x, t); });
}

std::unique_ptr<Program> mapped(const LossTask& task) {
  using enum PointLoss;
  const auto mean_of = [&](const auto& formula) {
    return program_of(task, [formula](const Tensor& x, const Tensor& t) { return map_mean(formula, x, t); });
  };
  switch (task.loss) {
    case mse:
      return mean_of([](auto y, auto t) { return square(y - t); });
    case huber:
      return mean_of([](auto y, auto t) {
        const auto d = abs(y - t);
        return where(d < 1, 0.5 * square(d), d - 0.5);
      });
    case bce:
      break;
  }
  return mean_of([](auto y, auto t) { return softplus(y) - y * t; });
}

/// One of the two ways to write losses.
class LossContender final : public Contender {
 public:
  using Make = std::unique_ptr<Program> (*)(const LossTask&);
  LossContender(const char* name, Make make) : name_(name), make_(make) {}

  std::string name() const override { return name_; }
  void set_threads(int count) override { tapegrad::set_threads(count); }
  std::unique_ptr<Program> loss(const LossTask& task) override { return make_(task); }

 private:
  const char* name_;
  Make make_;
};

Workload workload_of(const char* name, const LossTask& task) {
  Workload w{.name = fmt::format("losses-{}-{}", name, task.count),
             .description = fmt::format("{} of {} predictions and its gradient, built in and as a map", name,
                                        task.count),
             .metric = {.name = "time", .unit = "us", .higher_is_better = false, .scale = 1e6}};
  w.processor_time = true;
  w.make = [task](Contender& c) { return c.loss(task); };
  return w;
}

}  // namespace

std::vector<Workload> loss_workloads() {
  std::vector<Workload> all;
  for (const std::int64_t count : {1000, 1'000'000}) {
    all.push_back(workload_of("mse", {PointLoss::mse, count}));
    all.push_back(workload_of("huber", {PointLoss::huber, count}));
    all.push_back(workload_of("bce", {PointLoss::bce, count}));
  }
  return all;
}

std::vector<Measurement> measure_losses(const Workload& loss, const RunnerOptions& options) {
  Contenders both;
  both.push_back(std::make_unique<LossContender>("built-in", built_in));
  both.push_back(std::make_unique<LossContender>("map_mean", mapped));
  return measure(loss, both, in_short_turns(options, 10));
}

}  // namespace tapegrad::bench
