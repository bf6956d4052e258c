#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>

/// Matrix products. blas.cpp alone knows the BLAS.
///
/// Each result is a function of shapes and values, whatever the number of threads: the BLAS computes
/// single-threaded (its own splitting changes the order of sums), and large products are cut by us, over rows
/// or columns of the result and never over k. The program's own setting of the BLAS's threads is put back
/// after each call; while one runs, a BLAS call of another thread may find one thread instead of its own
/// setting (not with OpenBLAS's OpenMP build, where the setting belongs to the calling thread).
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

/// c = alpha op(a) op(b) + start, for float and double. Throws ArgumentError for a dimension that the BLAS
/// cannot count.
template <class T>
TAPEGRAD_API void gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c);

/// `count` products of one shape; number i reads the matrices at a + a_at[i] * m * k, and so on.
/// No two may have the same c.
template <class T>
TAPEGRAD_API void gemm_batch(const GemmShape& shape, std::int64_t count, T alpha, const T* a,
                             const std::int64_t* a_at, const T* b, const std::int64_t* b_at,
                             GemmStart<T> start, T* c, const std::int64_t* c_at);

/// How a product is cut into pieces: piece i covers [bound(i), bound(i + 1)) of the rows, or of the columns,
/// of c.
struct GemmPieces {
  bool rows = false;
  std::int64_t extent = 0;
  std::int64_t count = 1;

  /// `most`: at most so many.
  GemmPieces(const GemmShape& shape, std::int64_t most);
  std::int64_t bound(std::int64_t i) const;
};

/// True where the pieces of a product are known to equal the whole, bit for bit, on the kernels that the BLAS
/// has chosen. Then one thread computes it whole, and n threads cut it n times; elsewhere the cut depends on
/// the shape alone.
template <class T>
TAPEGRAD_API bool gemm_pieces_equal_whole() noexcept;

}  // namespace tapegrad::detail
