#pragma once

#include <tapegrad/ops/kernels/gemm/gemm.h>

/// The engines behind gemm(). Each takes any product of at least one element; m, n and k may have any size.
namespace tapegrad::detail {

/// This library's own kernels, for every instruction set.
template <class T>
void builtin_gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c);

/// OpenBLAS's kernels. Only where openblas() has loaded them and openblas_can() says that they take the product.
template <class T>
void openblas_gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c);
bool openblas_can(const GemmShape& shape) noexcept;

/// Multiply-adds of a block that is worth a thread.
inline constexpr double kBlockWork = 1 << 20;

inline double work_of(const GemmShape& s) noexcept {
  return static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
}

}  // namespace tapegrad::detail
