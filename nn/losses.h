#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/loss.h>

/// Losses as objects, to be chosen at run time or stored: loss(y, t) calls the function of
/// <tapegrad/ops/neural/loss.h>.
namespace tapegrad::nn {

/// softmax_with_loss: the cross entropy between softmax(y) and t; without options, the mean over the batch. With them
/// as in nn::SoftmaxWithLoss{{.label_smoothing = 0.1}}.
///
/// Throws ArgumentError for what is no classification, as well: scores of a single class, whose softmax is always 1,
/// and targets [n, classes] with a row that is no distribution, negative or with a sum further than 1e-3 from 1.
struct SoftmaxWithLoss {
  ClassLossOptions options{};  ///< those of softmax_with_loss
  /// The loss of scores y for targets t.
  TAPEGRAD_API Tensor operator()(const Tensor& y, const Tensor& t) const;
};

/// mse_loss: without options, the mean of (y - t)^2.
struct MSELoss {
  LossOptions options{};  ///< those of mse_loss
  /// The loss of outputs y for targets t.
  Tensor operator()(const Tensor& y, const Tensor& t) const { return mse_loss(y, t, options); }
};

}  // namespace tapegrad::nn
