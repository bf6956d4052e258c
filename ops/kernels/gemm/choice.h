#pragma once

#include <atomic>
#include <cstddef>

#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/kernels/gemm/openblas_library.h>
#include <tapegrad/ops/matmul_engine.h>

namespace tapegrad::detail {

/// What set_matmul_engine says.
extern constinit std::atomic<MatmulEngine> current_engine;

/// Which engine computes this product: OpenBLAS, or the builtin kernels. Says yes only where it is loaded.
bool takes_openblas(const GemmShape& shape, std::size_t element_bytes);

/// Whether OpenBLAS's kernels are made for the instruction set in use. Those for an older processor would lose.
bool openblas_fits_processor(const OpenBlas& library) noexcept;

}  // namespace tapegrad::detail
