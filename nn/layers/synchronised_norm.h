#pragma once

#include <string_view>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/distributed/communicator.h>

/// Not part of the library's interface.
namespace tapegrad::nn {

/// Throws ArgumentError for an infinite one of these variances of features, f64 [features], which would make everything
/// 0 that it divides: the message says what they are, and of which values. (That of infinite elements is NaN, and
/// shows.)
void require_variances(const Tensor& variances, std::string_view what, std::string_view values);

/// What synchronised_norm gives.
struct SynchronisedNorm {
  Tensor y{};         ///< the normalised values of this rank, of the shape and dtype of x
  Tensor mean{};      ///< of each channel over the batches of all ranks, f64 [channels]; not tracked
  Tensor variance{};  ///< likewise, sum (x - mean)^2 / count
  double count = 0;   ///< how many elements a channel has on all ranks together
};

/// batch_norm of x [n, channels, ...] by the mean and variance over the batches of all ranks, each of which may have
/// another number of items, none too. Differentiable in x, gamma and beta, to any order: see all_reduce. Statistics and
/// x_hat are computed in f64, also of f32.
///
/// Collective: two exchanges, of channels + 1 and channels numbers, and as many in backward. Throws, on all ranks
/// alike, ArgumentError for a channel with fewer than two elements on all ranks, and for one whose variance is beyond
/// f64; on this rank DtypeError for other dtypes than that of gamma and beta.
SynchronisedNorm synchronised_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps,
                                   Communicator& communicator);

}  // namespace tapegrad::nn
