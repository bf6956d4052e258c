#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "picture.h"

namespace tapegrad::plot {

/// How often items of a class were predicted as which: [true class][predicted class].
using ConfusionCounts = std::vector<std::vector<std::int64_t>>;

/// What a confusion matrix says of one class. NaN where it would be a share of nothing.
struct ClassScores {
  double precision = 0;      ///< of the items that are predicted as this class, the share that is of it
  double recall = 0;         ///< of the items of this class, the share that is predicted as such
  double f1 = 0;             ///< the harmonic mean of both
  std::int64_t support = 0;  ///< items of this class
};

/// For each class. Throws ArgumentError for counts that are not square.
std::vector<ClassScores> scores_of(const ConfusionCounts& counts);

/// The matrix: rows are true classes, shaded by their shares, what is right in another colour than what is not. Without
/// names, classes are numbered. The counts and shares show where the mouse is. Throws ArgumentError for no classes, for
/// counts that are not square, and for another number of names.
Picture confusion_matrix(const ConfusionCounts& counts, const std::string& title = {},
                         const std::vector<std::string>& names = {});

}  // namespace tapegrad::plot
