#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/layer.h>

#include "confusion.h"
#include "images.h"

namespace tapegrad::plot {

/// Items of one class that were predicted as another.
struct Confusion {
  std::int64_t truth = 0;
  std::int64_t predicted = 0;
  std::int64_t count = 0;
  std::int64_t total = 0;       ///< items of the class
  std::vector<Image> images{};  ///< some of those that were confused, with labels
};

/// What a classifier makes of test items.
struct Classification {
  std::vector<std::string> names{};  ///< of the classes; empty: they are numbered
  ConfusionCounts confusion{};
  std::vector<Image> misclassified{};  ///< some of them, with labels such as "true 6, predicted 4 (100 %)"
  std::int64_t misclassified_in_all = 0;
  std::vector<Confusion> most_confused{};  ///< the most frequent first

  std::string name(std::int64_t k) const;
  /// "true 6, predicted 4".
  std::string pair(std::int64_t truth, std::int64_t predicted) const;
};

/// Evaluates a classifier on all items. Of images, as load_mnist gives them, flat or with their rows, up to `most` of
/// those that are misclassified are shown, first those of whose wrong class the network is surest, and up to eight for
/// each of the five pairs of classes that are most often confused; 0: no images at all. The network must be one that
/// clone() copies, and stays as it is. Throws ShapeError where it does not give a score for each of the data's classes.
Classification examine(const nn::Module& net, const nn::Dataset& data, std::size_t most = 40,
                       std::vector<std::string> names = {});

}  // namespace tapegrad::plot
