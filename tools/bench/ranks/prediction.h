#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../../plot/picture.h"
#include "measurement.h"

namespace tapegrad::bench {

struct NamedPicture {
  std::string name;
  plot::Picture picture;
};
struct Prediction {
  std::string text;
  std::vector<NamedPicture> charts;  ///< one for each task
};

/// The speed of a task on n ranks against one: of a fixed batch for each rank (weak), which makes a global batch n
/// times as large, or a fixed global batch (strong), as far as each rank has an item of it.
struct Speed {
  double weak = 1;
  std::optional<double> strong{};
};
/// By the cost model, with as many micro-batches as ranks: the computation of a share follows the fit of
/// task.computation, and asks for collectives at the same share of its time as task.strict.
Speed predicted_speed(const TaskMeasurement& task, int ranks, const Network& network);

/// Fits the cost model to measurements on several numbers of ranks, compares what it says of their steps with what they
/// took, and goes on to 1,024 ranks, on the network that was fitted and on assumed ones. Throws ArgumentError where
/// none has more than one rank.
Prediction predict(std::span<const RanksMeasurement> measurements);

}  // namespace tapegrad::bench
