#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/dataset.h>

namespace tapegrad::nn {

/// Mean and standard deviation of inputs, one of each or tensors that an item broadcasts against.
struct InputStatistics {
  Tensor mean;    ///< in the inputs' dtype
  Tensor stddev;  ///< likewise, 1 where there is no variation
};

/// What has a mean and a standard deviation of its own: each feature (tensors of the shape of one input), each
/// channel of inputs [c, ...] (tensors [c, 1, ...]), or nothing less than all features together (scalars).
enum class StatisticsOf : std::uint8_t { each_feature, each_channel, all_features };

/// Over the items of a data set, in the inputs' dtype. The variance is the biased one, sum (x - mean)^2 / n. The
/// standard deviation of what is constant, such as a pixel at the rim that no image uses, is given as 1, so that it
/// becomes 0 instead of infinite.
///
///     const nn::InputStatistics s = nn::input_statistics(cifar.train, nn::StatisticsOf::each_channel);
///     nn::Normalize normalize(s);        // a transform of batches
///     nn::Standardize standardize(s);    // the same as a layer
///
/// Throws ArgumentError for data without items, ShapeError for channels of inputs that have none, DtypeError for
/// integers, NonFinite for inputs that are not finite.
TAPEGRAD_API InputStatistics input_statistics(const Dataset& data,
                                              StatisticsOf of = StatisticsOf::each_feature);

}  // namespace tapegrad::nn
