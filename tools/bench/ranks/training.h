#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/distributed/data_parallel.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/optim/optimizer.h>

#include "../tasks.h"
#include "recorder.h"

namespace tapegrad::bench {

/// A training task on one rank, by a trainer.
class Training {
 public:
  /// A task of make_net_task. Throws as that does.
  explicit Training(const std::string& task);

  const NetTask& task() const noexcept { return *task_; }
  std::int64_t parameters();

  /// Makes so many updates from where the last call ended, and returns what each of them took from the end of the one
  /// before: those within an epoch, whose begin and end are left out. With a recorder each has its collectives. All
  /// ranks that take part call it with the same numbers.
  std::vector<StepProfile> run(const nn::DataParallel& ranks, std::int64_t updates,
                               Recorder* recorder = nullptr);

 private:
  std::shared_ptr<const NetTask> task_;
  nn::Dataset data_;
  nn::Sequential net_;
  std::unique_ptr<optim::Optimizer> optimizer_;
};

}  // namespace tapegrad::bench
