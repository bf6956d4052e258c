#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/layer.h>

#include "chart.h"

namespace tapegrad::plot {

/// What a network predicts of one target of test items, in the target's unit.
struct Prediction {
  std::string name{};  ///< of the target
  Points points{};     ///< (target, predicted), for each item
  double rmse = 0;     ///< the root of the mean squared error
  double mae = 0;      ///< the mean absolute error
  /// 1 - squared errors / squared deviations from the targets' mean; NaN where they are all equal.
  double r2 = 0;
};

/// Predicts all items, for each column of the targets [n, names]. The network must be one that clone() copies, and
/// stays as it is. Throws ShapeError where its outputs are not as the targets, or there are not as many names.
std::vector<Prediction> predict(const nn::Module& net, const nn::Dataset& data,
                                const std::vector<std::string>& names);

/// Predicted over target, of about a thousand pairs, with the line on which they are equal; nothing where no pair is
/// finite.
std::optional<Picture> draw_predictions(const Prediction& p);
/// How often which error is made; what is not finite is left out.
Picture draw_errors(const Prediction& p);

}  // namespace tapegrad::plot
