#pragma once

#include <cstdint>

#include <tapegrad/ops/define.h>
#include <tapegrad/ops/kernels/softmax.h>
#include <tapegrad/ops/loops/destination.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/rows.h>
#include <tapegrad/ops/op.h>

/// What losses of classes share: how targets fit the scores, the targets of a row, and gradients of a few rows at a
/// time.
namespace tapegrad::detail {

/// Of cross_entropy: added to a probability before its logarithm is taken.
inline constexpr double kCrossEntropyOffset = 1e-7;

/// Scores [..., C] and their targets: indices [...], or a weight for each class [..., C].
struct Classes {
  std::int64_t rows;
  std::int64_t count;
  bool indices;

  Classes(const Shape& scores, Dtype target_dtype)
      : rows(scores.removed(scores.rank() - 1).size()), count(scores.dim(-1)), indices(target_dtype == i64) {}

  /// Throws, naming the op, where targets do not fit the scores that `what` describes; loss.h says how they must.
  static Classes checked(const char* op, const char* what, const Tensor& x, const Tensor& t);
  /// Rows of a block.
  std::int64_t grain() const { return grain_for(count); }
};

/// Throws ArgumentError, naming the op, for what is no classification: scores of a single class, and targets of
/// probabilities that are negative or whose sum is not 1, each by more than kFarthestFromProbability. What does not
/// fit in another way is left to the op.
void require_classification(const char* op, const char* what, const Tensor& scores, const Tensor& t);
inline constexpr double kFarthestFromProbability = 0.0101;  // of 1, where thirds are given as 0.33

/// The losses, whose targets of classes may have any weights.
Tensor weighed_cross_entropy(const Tensor& y, const Tensor& t);
Tensor weighed_softmax_with_loss(const Tensor& x, const Tensor& t);

/// The targets of one row, for a loop over its classes: an index (then weights is null), or a weight for
/// each.
template <class T>
class Targets {
 public:
  Targets(const Tensor& t, const Classes& classes)
      : index_(classes.indices ? TensorAccess::data_as<std::int64_t>(t) : nullptr),
        weights_(classes.indices ? nullptr : TensorAccess::data_as<T>(t)),
        count_(classes.count) {}

  bool indices() const { return index_ != nullptr; }
  std::int64_t index(std::int64_t row) const { return index_[row]; }
  const T* weights(std::int64_t row) const { return weights_ + row * count_; }

 private:
  const std::int64_t* index_;
  const T* weights_;
  std::int64_t count_;
};

/// Writes a gradient of the shape of the scores, a few rows at a time: f(first, count, out).
template <class T, class Op, class F>
void write_blocks(VjpContext<Op>& ctx, std::size_t input, const Classes& classes, F&& f) {
  const std::int64_t n = classes.count;
  ctx.template accumulate<T>(input, [&](Destination<T> to) {
    parallel_ranges(classes.rows, classes.grain(), [&](std::int64_t begin, std::int64_t end) {
      few_rows(end - begin, n, [&](std::int64_t first, std::int64_t count) {
        const std::int64_t row = begin + first;
        (to + row * n).through(count * n, [&](T* out) { f(row, count, out); });
      });
    });
  });
}

/// The gradient of the loss for one row: that of the mean, shared out.
template <class Op>
Tensor row_gradient(const VjpContext<Op>& ctx, const Classes& classes) {
  return ctx.grad_output() / static_cast<double>(classes.rows);
}

/// Index targets as weights.
Tensor as_weights(const Tensor& t, const Classes& classes, Dtype dtype);

}  // namespace tapegrad::detail
