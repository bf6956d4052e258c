#pragma once

#include <cstddef>

#include <tapegrad/ops/kernels/gemm/gemm.h>

namespace tapegrad::detail {

/// Which engine computes this product: OpenBLAS, or the builtin kernels. Says yes only where it is loaded.
bool takes_openblas(const GemmShape& shape, std::size_t element_bytes);

}  // namespace tapegrad::detail
