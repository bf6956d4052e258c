#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::nn {

/// How many rows of scores [n, classes] have their greatest value at the labelled class. Labels are i64 class
/// indices [n], or one row [n, classes] for each whose greatest value marks the class (one-hot). Of equal
/// values the first counts, a NaN counts as the greatest. Reads values only: any tensor will do, under any
/// tape. Throws ShapeError where the shapes do not fit, DtypeError for labels [n] that are not i64,
/// ArgumentError for one outside the classes.
TAPEGRAD_API std::int64_t count_correct(const Tensor& scores, const Tensor& labels);

/// count_correct / n. Throws as it does, and ArgumentError where there are no rows, and for a single class, of which
/// every row would be right: two that one score tells apart are binary_accuracy's.
TAPEGRAD_API double accuracy(const Tensor& scores, const Tensor& labels);

/// The share of elements whose score says what its label does, for losses as binary_cross_entropy_with_logits: yes where
/// the score is above 0, and where the label is above 0.5. Of probabilities it is binary_accuracy(p - 0.5, labels). Reads
/// values only. Throws ShapeError for other shapes, DtypeError for integers, ArgumentError where there are no elements.
TAPEGRAD_API double binary_accuracy(const Tensor& scores, const Tensor& labels);

}  // namespace tapegrad::nn
