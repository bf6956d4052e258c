#pragma once

#include <string>
#include <vector>

#include <tapegrad/nn/train/trainer.h>

#include "page.h"

namespace tapegrad::plot {

/// One epoch of a training, as the curves show it.
struct ReportRow {
  nn::EpochReport reached;
  nn::Score test{};  ///< NaN: not measured
};

/// What the scores of a history are called.
struct ScoreNames {
  std::string loss = "cross entropy";
  std::string metric = "accuracy";
};

/// The best epoch of a history; null where none is.
const ReportRow* best_of(const std::vector<ReportRow>& history);

/// Curves over the epochs, with the best one marked: loss and metric in training, on test items and on what was held
/// out, learning rate, gradient norm, time and throughput. What was not measured is left out. Axes on which values lie
/// far apart are logarithmic.
std::vector<Picture> draw_curves(const std::vector<ReportRow>& history, const ScoreNames& names);

/// A table of all epochs, which one opens.
void add_epochs(Page& page, const std::vector<ReportRow>& history, const ScoreNames& names);

}  // namespace tapegrad::plot
