#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// What batch_norm gives: the values, and the statistics that they were normalised by.
struct BatchNormalized {
  Tensor y;
  Tensor mean;      ///< of each feature over the batch, f64 [features]; not tracked
  Tensor variance;  ///< likewise, sum (x - mean)^2 / n
};

/// y = gamma (x - mean) / sqrt(variance + eps) + beta for each feature of x [n, features], by the mean and
/// the variance of that feature over the batch; gamma and beta are [features]. Ioffe, Szegedy: Batch
/// Normalization, ICML 2015. Differentiable in x, gamma and beta, to any order. Features of any size are normalised
/// alike, also where their variance is beyond f64 and given as infinity.
///
/// Takes f32 or f64, all of one dtype (DtypeError). Throws ShapeError for other shapes, ArgumentError for an
/// empty batch and for an eps that is not positive and finite.
TAPEGRAD_API BatchNormalized batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                        double eps = 1e-5);

}  // namespace tapegrad
