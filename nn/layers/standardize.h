#pragma once

#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/data/statistics.h>
#include <tapegrad/nn/layer.h>

namespace tapegrad::nn {

/// y = (x - mean) / stddev: inputs with the mean 0 and the standard deviation 1, as the first layer of a
/// network. Take the statistics from the training data alone: what is tested, or classified later, is
/// standardised by the same numbers. They are buffers, "mean" and "stddev", and so are saved and loaded with
/// the weights.
///
///     nn::Sequential net{nn::Standardize(nn::input_statistics(mnist.train)), nn::Affine(784, 50, rng), ...};
///
/// Per feature this is scikit-learn's StandardScaler; with one mean and standard deviation for all, or
/// for each channel as [channels, 1, 1], torchvision's Normalize.
class TAPEGRAD_API Standardize final : public Module {
 public:
  /// Throws ArgumentError for undefined tensors, a mean that is not finite and a standard deviation that is
  /// not positive and finite, ShapeError or DtypeError where the two do not fit each other or are integers.
  explicit Standardize(const InputStatistics& statistics);

  /// What is subtracted, and what the differences are divided by.
  const Tensor& mean() const noexcept { return mean_; }
  const Tensor& stddev() const noexcept { return stddev_; }

  void visit(Visitor& v) override;
  /// Throws ShapeError for x [n, ...] where an item is not of the statistics' shape nor broadcast against it.
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  Buffer mean_;
  Buffer stddev_;
};

}  // namespace tapegrad::nn
