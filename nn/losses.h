#pragma once

#include <string_view>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/loss.h>

/// Losses as objects, to be chosen at run time or stored: loss(y, t) calls the function of
/// <tapegrad/ops/neural/loss.h>.
namespace tapegrad::nn {

/// softmax_with_loss: the cross entropy between softmax(y) and t; without options, the mean over the batch. With them
/// as in nn::SoftmaxWithLoss{{.label_smoothing = 0.1}}.
struct SoftmaxWithLoss {
  static constexpr std::string_view name = "softmax_with_loss";  ///< that of the function
  ClassLossOptions options{};                                    ///< those of softmax_with_loss
  /// The loss of scores y for targets t.
  Tensor operator()(const Tensor& y, const Tensor& t) const { return softmax_with_loss(y, t, options); }
};

/// mse_loss: without options, the mean of (y - t)^2.
struct MSELoss {
  static constexpr std::string_view name = "mse_loss";  ///< that of the function
  LossOptions options{};                                ///< those of mse_loss
  /// The loss of outputs y for targets t.
  Tensor operator()(const Tensor& y, const Tensor& t) const { return mse_loss(y, t, options); }
};

}  // namespace tapegrad::nn
