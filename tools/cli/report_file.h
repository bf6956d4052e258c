#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/nn/state.h>
#include <tapegrad/nn/train/trainer.h>

#include <CLI/CLI.hpp>

#include "models.h"
#include "plot/report.h"
#include "train_data.h"

namespace tapegrad::cli {

/// The page that --report asks for; without a path all of it does nothing. Whether it can be written is found out
/// before training.
class ReportFile {
 public:
  ReportFile(const std::string& path, const CLI::App& command);
  /// What training will change. The network has its initial weights.
  void begin(const Model& model, const TrainData& data);
  /// After each epoch; without a score, the test data were not evaluated.
  void add(const nn::EpochReport& e, const std::optional<nn::Score>& test);
  /// After the first epoch, unless it was before a training that is resumed.
  void remember_weights(const Model& model, std::int64_t epoch);
  /// `unfinished`: a note on why training has not ended as it was asked to, or nothing. The test items are then not
  /// looked at, which may take long.
  void write(const Model& model, const TrainData& data, const nn::Dataset& training, std::int64_t batch,
             const std::string& unfinished);

 private:
  bool asked_for() const { return !path_.empty(); }
  void examine(const Model& model, const TrainData& data);
  void add_facts(const Model& model, const TrainData& data, const nn::Dataset& training);

  std::string path_;
  plot::TrainingReport report_;
  std::vector<std::pair<std::string, nn::State>> weights_;  ///< at several times
};

}  // namespace tapegrad::cli
