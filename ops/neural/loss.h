#pragma once

#include <cstdint>
#include <optional>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

/// Losses, each a scalar, and the functions that turn scores into probabilities. All take f32 or f64
/// (DtypeError otherwise, and for mixed dtypes), all are differentiable in both arguments (targets too, where
/// these are not class indices) and to any order. Sums are taken in f64 and in an order that depends on the
/// shape alone.
namespace tapegrad {

/// e^x_i / sum_j e^x_j along an axis, without overflow. Throws ArgumentError where the axis is empty.
TAPEGRAD_API Tensor softmax(const Tensor& x, std::int64_t axis = -1);
/// The logarithm of softmax(x), without going through it.
TAPEGRAD_API Tensor log_softmax(const Tensor& x, std::int64_t axis = -1);

/// What becomes of the losses of the elements, or of the samples: their mean, their sum, or each by itself.
enum class Reduction : std::uint8_t { mean, sum, none };

/// Of losses of a pair of equal shapes.
struct LossOptions {
  Reduction reduction = Reduction::mean;  ///< what becomes of the losses of the elements
};

// ---- losses of a pair of equal shapes: nothing is broadcast (ShapeError) ----

/// The mean of (y - t)^2 over all elements. Throws ArgumentError where there are none; so do the other means.
TAPEGRAD_API Tensor mse_loss(const Tensor& y, const Tensor& t);
/// 1/2 sum (y - t)^2 over all elements: a sum, not averaged over a batch either. `sum_squared_error` in
/// Saito: Deep Learning from Scratch, 2016, chapter 4.
TAPEGRAD_API Tensor half_sum_squared_error(const Tensor& y, const Tensor& t);
/// The mean of d^2 / 2 where |d| = |y - t| <= delta, and delta (|d| - delta / 2) beyond. delta must be
/// positive and finite (ArgumentError). Huber, Annals of Mathematical Statistics 35, 1964.
TAPEGRAD_API Tensor huber_loss(const Tensor& y, const Tensor& t, double delta = 1);
/// The mean of -t ln s(x) - (1 - t) ln(1 - s(x)), s the sigmoid, for logits x of any size: 0 also at an infinite
/// logit that agrees with a target of 0 or 1. Throws ArgumentError for a target outside [0, 1] by more than 0.01; so
/// does binary_cross_entropy.
TAPEGRAD_API Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& t);

/// The same with another reduction, as in mse_loss(y, t, {.reduction = Reduction::sum}); `none` gives the shape of y.
/// Only a mean throws ArgumentError where there are no elements.
TAPEGRAD_API Tensor mse_loss(const Tensor& y, const Tensor& t, const LossOptions& options);
TAPEGRAD_API Tensor huber_loss(const Tensor& y, const Tensor& t, double delta, const LossOptions& options);
/// The mean of |y - t| over all elements, or another reduction. The gradient is 0 where they are equal.
TAPEGRAD_API Tensor l1_loss(const Tensor& y, const Tensor& t, const LossOptions& options = {});
/// The mean of -t ln y - (1 - t) ln(1 - y) over all elements, or another reduction, of probabilities y. No logarithm is
/// below -100, as in PyTorch, and none is steeper than 1e12: a wrong certainty is a finite loss with a gradient, that
/// of a straight line, whose further derivatives for y are 0. binary_cross_entropy_with_logits has no such bounds,
/// nor does it need them. Throws ArgumentError for what is no probability.
TAPEGRAD_API Tensor binary_cross_entropy(const Tensor& y, const Tensor& t, const LossOptions& options = {});

/// Of binary_cross_entropy_with_logits.
struct BinaryLossOptions {
  Reduction reduction = Reduction::mean;  ///< what becomes of the losses of the elements
  /// Of the shape of x or one that broadcasts to it, as [classes], and its dtype: the term of t counts that much, -p
  /// t ln s(x) - (1 - t) ln(1 - s(x)). Above 1 it makes up for positive targets that are rare. It has no gradient.
  Tensor pos_weight{};
};
/// Throws ShapeError, DtypeError and ArgumentError for a pos_weight that does not fit, is negative or not finite.
TAPEGRAD_API Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& t,
                                                     const BinaryLossOptions& options);

// ---- losses of classes: the last axis of the first argument; averaged over all axes before it ----
//
// The targets of [..., C] are class indices, i64 [...]; or a probability for each class (one-hot, for
// example), of the dtype and shape of the first argument. A single sample [C] takes a scalar index or a
// vector [C]. Throws ShapeError where they do not fit; ArgumentError for an index outside 0 ... C - 1, an
// empty batch or no classes, and, but for sum_squared_error, for what is no classification: a single class, whose
// loss is 0 whatever it learns, and targets with an element that is negative or a sum that is not 1, by more than 0.01.

/// 1/2 sum_c (y_c - t_c)^2 of any outputs y: half_sum_squared_error of each sample.
TAPEGRAD_API Tensor sum_squared_error(const Tensor& y, const Tensor& t);
/// -sum_c t_c ln(y_c + 1e-7) of probabilities y, as in the same book. A target of zero adds nothing. Throws
/// ArgumentError for what is no probability, such as a logit.
TAPEGRAD_API Tensor cross_entropy(const Tensor& y, const Tensor& t);
/// -sum_c t_c ln softmax(x)_c of logits x, stable for logits of any size. A target of zero adds nothing, also
/// for a logit of -infinity.
TAPEGRAD_API Tensor softmax_with_loss(const Tensor& x, const Tensor& t);

/// In the convention of PyTorch's cross_entropy.
struct ClassLossOptions {
  Reduction reduction = Reduction::mean;  ///< what becomes of the losses of the samples
  /// Each target becomes (1 - label_smoothing) t + label_smoothing / C. In [0, 1].
  double label_smoothing = 0;
  /// [C], of the dtype of the first argument: the terms of class c count that much. The mean of a loss of class
  /// indices then divides by the sum of the weights of the targets. It has no gradient.
  Tensor weight{};
  /// Samples with this class index, which need not be a class, add nothing and are not counted by the mean. Not for
  /// targets of probabilities.
  std::optional<std::int64_t> ignore_index{};
};
/// The same with options; a reduction of `none` gives [...], a loss for each sample. Throws ArgumentError too for a
/// smoothing outside [0, 1], an ignore_index beside probabilities, and a mean where all targets are ignored or weigh
/// nothing; ShapeError and DtypeError for weights that do not fit.
TAPEGRAD_API Tensor sum_squared_error(const Tensor& y, const Tensor& t, const LossOptions& options);
TAPEGRAD_API Tensor cross_entropy(const Tensor& y, const Tensor& t, const ClassLossOptions& options);
TAPEGRAD_API Tensor softmax_with_loss(const Tensor& x, const Tensor& t, const ClassLossOptions& options);
/// -sum_c t_c y_c of logarithms of probabilities y: softmax_with_loss(x, t, options) is nll_loss(log_softmax(x), t,
/// options). A target of zero adds nothing, also beside -infinity.
TAPEGRAD_API Tensor nll_loss(const Tensor& y, const Tensor& t, const ClassLossOptions& options = {});

}  // namespace tapegrad
