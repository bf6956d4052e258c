#pragma once

#include <atomic>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/kernels/gemm/openblas_library.h>
#include <tapegrad/ops/matmul_engine.h>

namespace tapegrad::detail {

/// What set_matmul_engine says.
extern constinit std::atomic<MatmulEngine> current_engine;

/// Sizes below this are the builtin kernels' with each instruction set: OpenBLAS is never faster there.
inline constexpr std::int64_t kLeastOpenblasSize = 10;
bool takes_openblas_beyond_tiny(MatmulEngine engine, const GemmShape& shape, Dtype dtype);

/// Which engine computes this product: OpenBLAS, or the builtin kernels. Says yes only where it is loaded.
inline bool takes_openblas(const GemmShape& shape, Dtype dtype) {
  const MatmulEngine engine = current_engine.load(std::memory_order_relaxed);
  // What is small is decided here, as the choice would take longer than the product.
  if (engine == MatmulEngine::builtin ||
      (engine == MatmulEngine::automatic && (shape.m < kLeastOpenblasSize || shape.n < kLeastOpenblasSize)))
    return false;
  return takes_openblas_beyond_tiny(engine, shape, dtype);
}

/// Whether OpenBLAS's kernels are made for the instruction set in use. Those for an older processor would lose.
bool openblas_fits_processor(const OpenBlas& library) noexcept;

}  // namespace tapegrad::detail
