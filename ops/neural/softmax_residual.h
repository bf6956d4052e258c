#pragma once

#include <cstdint>

#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/class_targets.h>

/// How the probabilities of classes differ from their targets: the gradient of softmax_with_loss for one row, as an
/// operation of its own.
namespace tapegrad::detail {

/// y = softmax(x) sum_c t - t of scores [..., C] and targets as of softmax_with_loss. Where one class has nearly all of
/// the probability no digit is lost. Nothing for a row whose targets are all 0, whatever its scores.
Tensor softmax_residual(const Tensor& x, const Tensor& t);

/// out = scale times that of `count` rows from `first` on, of their probabilities p.
template <class T>
void softmax_residual_rows(const T* p, const Targets<T>& targets, std::int64_t first, std::int64_t count,
                           std::int64_t n, T scale, T* out);

}  // namespace tapegrad::detail
