#pragma once

#include <cstddef>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// What batch_norm gives: the values, and the statistics that they were normalised by.
struct BatchNormalized {
  Tensor y;         ///< the normalised values, of the shape of x
  Tensor mean;      ///< of each channel over the batch, f64 [channels]; not tracked
  Tensor variance;  ///< likewise, sum (x - mean)^2 / m of m elements
};

/// y = gamma (x - mean) / sqrt(variance + eps) + beta for each channel of x [n, channels, ...], by the mean and the
/// variance of that channel over all other axes: of features [n, features], and of images [n, channels, h, w],
/// sequences and volumes. gamma and beta are [channels]. Ioffe, Szegedy: Batch Normalization, ICML 2015.
/// Differentiable in x, gamma and beta, to any order. Channels of any size are normalised alike, also where their
/// variance is beyond f64 and given as infinity.
///
/// Takes f32 or f64, all of one dtype (DtypeError). Throws ShapeError for other shapes, ArgumentError for channels
/// without elements and for an eps that is not positive and finite.
TAPEGRAD_API BatchNormalized batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                        double eps = 1e-5);

namespace detail {
/// Numbers of channels [c] for an operation with x [n, c, ...] of this rank, beside which they broadcast.
TAPEGRAD_API Tensor beside_planes(const Tensor& of_channels, std::size_t rank);
}  // namespace detail

}  // namespace tapegrad
