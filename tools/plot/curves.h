#pragma once

#include <string>
#include <vector>

#include <tapegrad/nn/train/trainer.h>

#include "page.h"

namespace tapegrad::plot {

/// What the scores of a history are called.
struct ScoreNames {
  std::string loss = "cross entropy";
  std::string metric = "accuracy";
  bool percent = true;  ///< the metric is a share
};

/// Throws ArgumentError where there is not a test score for each epoch, which may be NaN: not measured.
void require_test_scores(const nn::History& history, const std::vector<nn::Score>& test);

/// Curves over the epochs, with the best one marked: loss and metric in training, on test items and on what was held
/// out, learning rate, gradient norm, time and throughput. What was not measured is left out. Axes on which values lie
/// far apart are logarithmic. Throws as require_test_scores.
std::vector<Picture> draw_curves(const nn::History& history, const std::vector<nn::Score>& test,
                                 const ScoreNames& names);

/// A table of all epochs, which one opens. Throws as require_test_scores.
void add_epochs(Page& page, const nn::History& history, const std::vector<nn::Score>& test,
                const ScoreNames& names);

}  // namespace tapegrad::plot
