#include <tapegrad/nn/losses.h>

#include <cmath>
#include <cstdint>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

constexpr double kFarthestSum = 1e-3;

/// Rows of class probabilities.
void require_distributions(const Tensor& t) {
  visit_floating(t.dtype(), [&]<class T> {
    const T* at = t.values<T>().data();
    for (std::int64_t row = 0; row < t.dim(0); ++row) {
      double sum = 0, least = 0;
      for (std::int64_t k = 0; k < t.dim(1); ++k, ++at) {
        sum += static_cast<double>(*at);
        least = std::fmin(least, static_cast<double>(*at));
      }
      if (!(least >= 0 && std::abs(sum - 1) <= kFarthestSum))
        throw ArgumentError(
            fmt::format("softmax_with_loss: row {} of the targets {} is no distribution over the classes: "
                        "its sum is {:.6g} and its "
                        "least element {:.6g}. Where the targets are numbers, not classes, take another "
                        "loss, such as nn::MSELoss()",
                        row, to_string(t.shape()), sum, least));
    }
  });
}

}  // namespace

Tensor SoftmaxWithLoss::operator()(const Tensor& y, const Tensor& t) const {
  if (y.defined() && y.rank() == 2 && y.dim(1) == 1)
    throw ArgumentError(
        fmt::format("softmax_with_loss: the scores {} are of one class, whose softmax is always 1. For "
                    "numbers take another loss, "
                    "such as nn::MSELoss(), for two classes two scores or binary_cross_entropy_with_logits",
                    to_string(y.shape())));
  if (y.defined() && t.defined() && is_floating(t.dtype()) && t.rank() == 2 && t.shape() == y.shape())
    require_distributions(t);
  return softmax_with_loss(y, t, options);
}

}  // namespace tapegrad::nn
