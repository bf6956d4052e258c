#pragma once

#include <cstdint>

#include <tapegrad/ops/kernels/conv/axis.h>
#include <tapegrad/ops/loops/destination.h>

namespace tapegrad::detail {

/// For every image and group: target [rows, ...] = weights [rows, channels * taps] times what the walks along both axes
/// read of the source [channels, ...], plus bias[row] where one is given; with `relu`, 0 where that is negative.
template <class T>
struct Correlation {
  std::int64_t batch;
  std::int64_t groups;
  std::int64_t channels;  ///< of the source, in a group
  std::int64_t rows;      ///< channels of the target, in a group
  AxisWalk y;
  AxisWalk x;
  const T* source;
  const T* weights;
  const T* bias;
  Destination<T> target;
  bool relu = false;  ///< for a target that is written, not added to

  std::int64_t depth() const { return channels * y.taps * x.taps; }
  /// By the sums, or by Winograd's filtering where that is faster.
  void run() const;
  void run_sums() const;
};

}  // namespace tapegrad::detail
