#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>

/// Matrix products.
///
/// Each element of the result is a sum whose order depends on the shape of the product alone, so the bits are
/// the same for any number of threads; they differ between instruction sets, which have other vectors.
///
/// K. Goto, R. van de Geijn: Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008);
/// F. Van Zee, R. van de Geijn: BLIS, ACM TOMS 41 (2015).
namespace tapegrad::detail {

/// c [m, n] from op(a) [m, k] and op(b) [k, n], all row major without gaps; op(a) is a, or the transpose of
/// an a that is stored [k, m], and so on.
struct GemmShape {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
};

/// What a product is added to.
template <class T>
struct GemmStart {
  T beta{0};                ///< beta * c; for 0 the old c is not read
  const T* bias = nullptr;  ///< if given, this row [n] in each row of c, and beta does not count
};

/// c = op(a) (alpha op(b)) + start, for float and double. c overlaps neither a nor b.
template <class T>
TAPEGRAD_API void gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c);

/// `count` products of one shape; number i reads the matrices at a + a_at[i] * m * k, and so on.
/// No two may have the same c.
template <class T>
TAPEGRAD_API void gemm_batch(const GemmShape& shape, std::int64_t count, T alpha, const T* a,
                             const std::int64_t* a_at, const T* b, const std::int64_t* b_at,
                             GemmStart<T> start, T* c, const std::int64_t* c_at);

}  // namespace tapegrad::detail
