#pragma once

#include <vector>

#include "runner.h"

/// The engines of matrix products beside each other.
namespace tapegrad::bench {

/// 25 shapes in f32 and f64 and in all four transpositions: gemm-f32-NT-64x3136x576 is a [64, 576] times the
/// transpose of b [3136, 576].
std::vector<Workload> product_workloads();

/// The last of the squares in f32, neither operand transposed, by the clock on the wall.
Workload largest_square_product();
/// Contenders that compute products with one engine each, and with `automatic`.
Contenders make_engines();

/// Measures one of them with each engine that there is and with `automatic`, in turns: more and shorter ones than
/// those of other workloads. With one thread it is the processor's time that counts.
std::vector<Measurement> measure_engines(const Workload& product, const RunnerOptions& options);

}  // namespace tapegrad::bench
