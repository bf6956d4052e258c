#pragma once

#include "tasks.h"

namespace tapegrad::bench {

/// What a call computes and moves, counted from the task's shapes alone: the same for every contender, however it
/// computes. Zeros where nothing was counted.
struct Work {
  /// Multiplications and additions of products and convolutions, as the textbook defines them. What is done element by
  /// element has no part in it.
  double flops = 0;
  /// Of float32 numbers that are read or written, each operand of an operation once, whether it comes from memory or
  /// from a cache; ReLU, pooling and loss count where a fused program cannot do without.
  double bytes = 0;

  Work operator+(const Work& o) const { return {flops + o.flops, bytes + o.bytes}; }
  Work operator*(double times) const { return {times * flops, times * bytes}; }
};

/// Of one training step: both passes and the update.
Work work_of_step(const NetTask& task);
/// Of classifying so many items.
Work work_of_predictions(const NetTask& task, std::int64_t items);

}  // namespace tapegrad::bench
