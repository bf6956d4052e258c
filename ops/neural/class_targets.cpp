#include <algorithm>
#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/ops/neural/class_targets.h>
#include <tapegrad/ops/tensor/index.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <fmt/format.h>

namespace tapegrad::detail {

Classes Classes::checked(const char* op, const char* what, const Tensor& x, const Tensor& t) {
  require_floating(op, x, what);
  if (x.rank() == 0)
    throw ShapeError(
        fmt::format("{}: {} are a scalar; their last axis must be the classes", op_label(op), what));
  const Classes classes(x.shape(), t.dtype());
  const Shape of_indices = x.shape().removed(x.rank() - 1);
  if (!classes.indices && t.shape() == of_indices && t.shape() != x.shape())
    throw DtypeError(
        fmt::format("{}: targets {} of {} for {} {}: class indices must be i64, cast them; a number for each "
                    "element is of the shape {}",
                    op_label(op), to_string(t.shape()), name_of(t.dtype()), what, to_string(x.shape()),
                    to_string(x.shape())));
  if (!classes.indices) require_same_dtype(op, x, t, what, "targets");
  if (const Shape& expected = classes.indices ? of_indices : x.shape(); t.shape() != expected)
    throw ShapeError(fmt::format(
        "{}: targets {} of {} do not fit {} {}, which expect {}{}", op_label(op), to_string(t.shape()),
        name_of(t.dtype()), what, to_string(x.shape()), to_string(expected),
        t.shape() == x.shape() ? " of i64; cast one-hot targets to the dtype of the former" : ""));
  if (classes.count == 0 || classes.rows == 0)
    throw ArgumentError(
        fmt::format("{}: {} {} have no {}", op_label(op), what, to_string(x.shape()),
                    classes.count == 0 ? "classes" : "rows; the mean over the batch is not defined"));
  if (classes.indices) {
    const auto* label = TensorAccess::data_as<std::int64_t>(t);
    for (std::int64_t i = 0; i < classes.rows; ++i)
      if (label[i] < 0 || label[i] >= classes.count)
        throw ArgumentError(fmt::format("{}: target {} at {} is not a class; {} {} have classes 0 to {}",
                                        op_label(op), label[i], index_text(i, t.shape()), what,
                                        to_string(x.shape()), classes.count - 1));
  }
  return classes;
}

void require_classification(const char* op, const char* what, const Tensor& scores, const Tensor& t) {
  if (!scores.defined() || scores.rank() == 0 || !t.defined()) return;
  if (scores.dim(-1) == 1)
    throw ArgumentError(fmt::format(
        "{}: {} {} are of one class, which is always right. For numbers take another loss, such as "
        "mse_loss (nn::MSELoss), for two classes two scores or binary_cross_entropy_with_logits",
        op_label(op), what, to_string(scores.shape())));
  if (t.dtype() != scores.dtype() || !is_floating(t.dtype()) || t.shape() != scores.shape() || t.size() == 0)
    return;
  const OperationPause pause;
  const Tensor sums = sum(t.detach(), -1);
  const auto is_share = []<class T>(T v) { return v >= static_cast<T>(-kFarthestFromProbability); };
  const auto is_whole = []<class T>(T v) {
    return v >= static_cast<T>(1 - kFarthestFromProbability) &&
           v <= static_cast<T>(1 + kFarthestFromProbability);
  };
  if (all_hold(t, is_share) && all_hold(sums, is_whole)) return;
  visit_floating(t.dtype(), [&]<class T> {
    const std::int64_t n = t.dim(-1);
    const T* row = TensorAccess::data_as<T>(t);
    const T* const total = TensorAccess::data_as<T>(sums);
    for (std::int64_t r = 0; r < sums.size(); ++r, row += n) {
      const T least = *std::min_element(row, row + n);
      if (is_share(least) && is_whole(total[r])) continue;
      throw ArgumentError(fmt::format(
          "{}: row {} of the targets {} is no distribution over the classes: its sum is {:.6g} and its least element "
          "{:.6g}. Divide each row by its sum where it is a rounded one; for several labels of a sample "
          "there is binary_cross_entropy_with_logits, for numbers mse_loss (nn::MSELoss)",
          op_label(op), r, to_string(t.shape()), total[r], least));
    }
  });
}

Tensor as_weights(const Tensor& t, const Classes& classes, Dtype dtype) {
  return classes.indices ? one_hot(t, classes.count, dtype) : t;
}

}  // namespace tapegrad::detail
