#include "training.h"

#include <chrono>

#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/tapegrad.h>

#include "../tapegrad_net.h"

namespace tapegrad::bench {

Training::Training(const std::string& task)
    : task_(make_net_task(task)),
      data_(dataset_of(*task_, *task_->train)),
      net_(network_of(*task_)),
      optimizer_(optimizer_of(*task_, net_)) {}

std::int64_t Training::parameters() {
  std::int64_t count = 0;
  for (const auto& [name, parameter] : net_.parameters()) count += parameter.data().size();
  return count;
}

std::vector<StepProfile> Training::run(const nn::DataParallel& ranks, std::int64_t updates,
                                       Recorder* recorder) {
  using Clock = std::chrono::steady_clock;
  std::vector<StepProfile> steps;
  Clock::time_point last;
  std::int64_t epoch = 0;
  nn::TrainerOptions options;
  options.iterations = updates;
  options.batch = task_->batch;
  options.drop_last = true;
  options.objective =
      task_->loss == Loss::softmax ? nn::Objective(nn::SoftmaxWithLoss()) : nn::Objective(nn::MSELoss());
  options.evaluate_training = false;
  options.data_parallel = ranks;
  options.on_batch = [&](nn::Trainer&, const nn::BatchReport& report) {
    const Clock::time_point now = Clock::now();
    StepProfile step{.seconds = std::chrono::duration<double>(now - last).count()};
    if (recorder) step.collectives = recorder->take();
    if (report.epoch == epoch) steps.push_back(std::move(step));
    epoch = report.epoch;
    last = now;
  };
  nn::Trainer(net_, *optimizer_, options).fit(data_);
  return steps;
}

}  // namespace tapegrad::bench
