#pragma once

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/loss.h>

/// Losses as objects, to be chosen at run time or stored: loss(y, t) calls the function of
/// <tapegrad/ops/neural/loss.h>.
namespace tapegrad::nn {

/// softmax_with_loss: the mean over the batch of the cross entropy between softmax(y) and t.
struct SoftmaxWithLoss {
  Tensor operator()(const Tensor& y, const Tensor& t) const { return softmax_with_loss(y, t); }
};

/// mse_loss: the mean of (y - t)^2.
struct MSELoss {
  Tensor operator()(const Tensor& y, const Tensor& t) const { return mse_loss(y, t); }
};

}  // namespace tapegrad::nn
