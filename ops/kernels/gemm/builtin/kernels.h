#pragma once

#include <cstdint>

#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/loops/dispatch.h>
#include <tapegrad/ops/loops/isa.h>

/// Before a loop of at most so many turns: unrolled, what it indexes stays in registers. Where each access is checked
/// in memory, checks that are unrolled take minutes to compile.
#if TAPEGRAD_ASAN || TAPEGRAD_TSAN
#define TAPEGRAD_UNROLL(turns)
#else
#define TAPEGRAD_PRAGMA(text) _Pragma(#text)
#define TAPEGRAD_UNROLL(turns) TAPEGRAD_PRAGMA(GCC unroll turns)
#endif

/// The innermost loops of a matrix product, one table for each instruction set and type. product.cpp
/// divides a product into what they do.
namespace tapegrad::detail {

/// A vector of the processor's, of so many bytes.
template <class T, int Bytes>
struct VecOf {
  typedef T type __attribute__((vector_size(Bytes)));
};

/// An operand as the loops see it: element (x, p), where x counts rows of op(a) or columns of op(b), and p
/// the terms of the sums.
template <class T>
struct Operand {
  const T* data;
  std::int64_t ld;
  bool along_x;  ///< neighbours in memory are neighbours in x, not in p

  const T* at(std::int64_t x, std::int64_t p) const { return data + (along_x ? p * ld + x : x * ld + p); }
  Operand from(std::int64_t x, std::int64_t p) const { return {at(x, p), ld, along_x}; }
};

/// A tile of c: as many elements as the registers can hold the sums of.
template <class T>
struct Tile {
  std::int64_t depth;  ///< terms
  const T* a;          ///< element (row, p) at a[p * a_step + row], or a[row * a_step + p] with a in rows
  std::int64_t a_step;
  const T* b;  ///< element (p, column) at b[p * b_step + column]; whole vectors are read
  std::int64_t b_step;
  T* c;
  std::int64_t c_step;
  std::int64_t columns;  ///< written: the last vector may stick out
  GemmStart<T> start;
  const T* next;           ///< called into the cache meanwhile: two lines here, and next_step on after each
  std::int64_t next_step;  ///< `interval` terms
  std::int64_t interval;
  // Of a shifted tile:
  const std::int64_t* b_shifts = nullptr;  ///< row p of b is at b + b_shifts[p], whatever b_step
  const T* row_start = nullptr;            ///< where given, row i of c starts with row_start[i] more
};

/// Products of rows that lie in memory as they are multiplied, each summed up in the lanes of a vector of 64 bytes.
template <class T>
struct DotTile {
  static constexpr std::int64_t kLanes = 64 / static_cast<std::int64_t>(sizeof(T));

  std::int64_t depth;  ///< elements of a row
  const T* a;          ///< row i starts at a[a_starts[i]]
  const std::int64_t* a_starts;
  const T* b;  ///< row j starts at b[j * b_step]
  std::int64_t b_step;
  T* sums;  ///< what is added to: the lanes of (i, j) start at sums[j * sums_step + i * kLanes]
  std::int64_t sums_step;
};

/// Lines of a plane, copied with zeros around them: with a stride of 2, elements at even places of a line and those at
/// odd ones go to planes of their own. In each, `before` zeros come first; then a line with zeros up to the pitch, and
/// so on; then `after` zeros.
template <class T>
struct PlaneCopy {
  const T* from;
  std::int64_t from_step;  ///< from a line to the next one that is copied
  std::int64_t columns;    ///< elements of a line
  T* to;
  std::int64_t phase_step;  ///< from one plane of the copy to the other
  std::int64_t pitch;
  std::int64_t before;
  std::int64_t lines;
  std::int64_t after;
};

/// Lines of a plane as sums over few taps of another one: result (j, i) starts with `start`, and its terms are over y
/// and k weights[k * taps of y + y] times element starts[k] + i of line j * stride + y of the source.
template <class T>
struct PlaneTile {
  const T* source;
  std::int64_t pitch;  ///< from a line to the next one or, with a stride of 2, to the one after it
  std::int64_t odd;    ///< from line 0 to line 1, with a stride of 2
  const std::int64_t* starts;
  std::int64_t taps;  ///< along a line
  const T* weights;
  T* to;
  std::int64_t to_step;  ///< from a line to the next one
  std::int64_t lines;
  std::int64_t columns;  ///< written; of the source whole vectors are read
  T start;
  bool add;       ///< to what is there
  bool relu;      ///< 0 where a sum is negative
  const T* next;  ///< called into the cache meanwhile: so many elements with each line
  std::int64_t next_step;
};

/// The gradients of its weights: of tap (y, k), the lanes of a vector of 64 bytes from sums[(y * taps + k) * kLanes]
/// on, to which the products of y with what the tap reads of the source are added.
template <class T>
struct PlaneDots {
  static constexpr std::int64_t kLanes = DotTile<T>::kLanes;

  const T* source;
  std::int64_t pitch;
  std::int64_t odd;
  const std::int64_t* starts;
  std::int64_t taps;
  const T* y;
  std::int64_t y_step;
  std::int64_t lines;
  std::int64_t columns;
  T* sums;
  const T* next;  ///< called into the cache meanwhile, as by a PlaneTile
  std::int64_t next_step;
};

template <class T>
struct GemmKernels {
  static constexpr int kMostRows = 14;
  using TileFunction = void (*)(const Tile<T>&);
  using DotTileFunction = void (*)(const DotTile<T>&);

  std::int64_t lanes;    ///< elements of a vector
  std::int64_t rows[3];  ///< most rows of a tile whose columns are one, two or three vectors
  std::int64_t a_width;  ///< of a packed panel of a: the most rows, in whole vectors
  std::int64_t depth;    ///< most terms that a packed panel holds

  /// tile[a in rows][vectors - 1][rows - 1]: writes start + the products of a and b.
  TileFunction tile[2][3][kMostRows];
  /// shifted_tile[vectors - 1][rows - 1]: the same with a in rows, and rows of b that lie anywhere, as the pixels of an
  /// image do that a convolution multiplies by its weights one after the other.
  TileFunction shifted_tile[2][kMostRows];

  /// dots[rows of a - 1][0] with one row of b, dots[rows of a - 1][1] with four.
  static constexpr int kDotRows[2] = {9, 3};
  DotTileFunction dots[9][2];
  /// to[j] = start + sum over p of weights[p] source[j + shifts[p]], and with `add` plus what is there, for the first
  /// of `columns` in blocks of several vectors, so that many sums are under way at once; returns how many columns
  /// these are.
  std::int64_t (*single_row)(const T* source, const std::int64_t* shifts, const T* weights,
                             std::int64_t depth, T start, bool add, std::int64_t columns, T* to);

  /// Copies `count` x and `depth` p of an operand, times `scale`, to to[p * width + x]; zeros from count to
  /// `width`, a multiple of lanes.
  void (*pack)(const Operand<T>& from, std::int64_t count, std::int64_t depth, std::int64_t width, T scale,
               T* to);

  /// y[i] += alpha * (row i of the matrix) . x, for `rows` rows of length k that lie ld apart.
  void (*add_dots)(std::int64_t rows, std::int64_t k, T alpha, const T* matrix, std::int64_t ld, const T* x,
                   T* y);
  /// y[j] += sum over p of alpha * x[p] * matrix[p * ld + j], j < n, p < k.
  void (*add_rows)(std::int64_t n, std::int64_t k, T alpha, const T* matrix, std::int64_t ld, const T* x,
                   T* y);

  /// copy_plane[stride - 1]
  void (*copy_plane[2])(const PlaneCopy<T>&);
  /// to[2 i] = even[i], to[2 i + 1] = odd[i], `columns` elements in all, or added; whole vectors are read.
  void (*interleave)(const T* even, const T* odd, std::int64_t columns, T* to, bool add);
  /// plane[stride - 1][taps of y] and plane_dots, null where there is none.
  void (*plane[2][8])(const PlaneTile<T>&);
  void (*plane_dots[2][8])(const PlaneDots<T>&);
};

template <class T>
const GemmKernels<T>& gemm_kernels_base() noexcept;
template <class T>
const GemmKernels<T>& gemm_kernels_avx2() noexcept;
template <class T>
const GemmKernels<T>& gemm_kernels_avx512() noexcept;

/// Those of the instruction set in use. Throws Error where they are compiled for another one alone.
template <class T>
const GemmKernels<T>& gemm_kernels() {
  if constexpr (kOnlyIsa.has_value()) {
    if (isa() != *kOnlyIsa) throw_not_compiled(isa(), *kOnlyIsa);
  }
  // The files of sets that are not compiled are not in the library.
#if TAPEGRAD_X86
  if constexpr (is_compiled(Isa::avx512))
    if (isa() == Isa::avx512) return gemm_kernels_avx512<T>();
  if constexpr (is_compiled(Isa::avx2))
    if (isa() == Isa::avx2) return gemm_kernels_avx2<T>();
#endif
  if constexpr (is_compiled(Isa::base)) return gemm_kernels_base<T>();
  __builtin_unreachable();  // behind the only set
}

}  // namespace tapegrad::detail
