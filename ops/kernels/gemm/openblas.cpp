#include <algorithm>
#include <limits>
#include <type_traits>

#include <tapegrad/ops/kernels/gemm/engines.h>
#include <tapegrad/ops/kernels/gemm/openblas_library.h>
#include <tapegrad/ops/kernels/gemm/partition.h>
#include <tapegrad/ops/loops/parallel.h>

/// A product as calls of OpenBLAS, each on one thread.
///
/// OpenBLAS promises nothing about its bits when a product is divided: small ones take other kernels than large
/// ones. So the blocks follow from the shape alone, whatever the number of threads. Each packs its operands anew;
/// measured on one thread, the blocks below cost 0-8 % of a product's time.
namespace tapegrad::detail {

namespace {

constexpr int kRowMajor = 101;
constexpr int kNoTranspose = 111;
constexpr int kTranspose = 112;

constexpr std::int64_t kChunk = 256;           // the shortest of the longer axis
constexpr std::int64_t kLongChunk = 1024;      // the longest of either axis, about
constexpr std::int64_t kChunks = 4;            // of the longer axis, while they are shorter than that
constexpr double kCallWork = 32 << 20;         // multiply-adds that are worth a call
constexpr double kVectorCallWork = 512 << 10;  // the same of a product with a vector
constexpr std::int64_t kVectorChunk = 64;

int as_int(std::int64_t i) { return static_cast<int>(i); }
int transposition(bool transposed) { return transposed ? kTranspose : kNoTranspose; }

/// Chunks of the two axes of c.
struct Grid {
  Partition rows;
  Partition columns;
};

/// Of two equal axes, whether the rows are the better ones to divide.
template <class T>
struct SquareByRows;
template <>
struct SquareByRows<float> : std::false_type {};
template <>
struct SquareByRows<double> : std::true_type {};

template <class T>
Grid grid_of(const GemmShape& s) {
  // OpenBLAS packs the operand of the other axis once for each chunk.
  const bool by_rows = s.m > s.n || (s.m == s.n && SquareByRows<T>::value);
  const std::int64_t longer = by_rows ? s.m : s.n;
  const std::int64_t shorter = by_rows ? s.n : s.m;
  std::int64_t along = std::max(std::min(kChunks, longer / kChunk), longer / kLongChunk);
  const std::int64_t across = std::max<std::int64_t>(1, shorter / kLongChunk);
  const double worth = work_of(s) / (kCallWork * static_cast<double>(across));
  along = std::clamp<std::int64_t>(static_cast<std::int64_t>(std::min(worth, 1e9)), 1,
                                   std::max<std::int64_t>(1, along));
  return by_rows ? Grid{{s.m, along}, {s.n, across}} : Grid{{s.m, across}, {s.n, along}};
}

/// Brings a block of c to what the product is added to, unless OpenBLAS does; returns its beta.
template <class T>
T begin(const GemmStart<T>& start, T* c, std::int64_t step, const Range& rows, const Range& columns) {
  if (!start.bias) return start.beta;
  for (std::int64_t i = rows.from; i < rows.to; ++i)
    std::copy(start.bias + columns.from, start.bias + columns.to, c + i * step + columns.from);
  return T{1};
}

template <class T>
void run_matrix(const OpenBlas& library, const GemmShape& s, T alpha, const T* a, const T* b,
                const GemmStart<T>& start, T* c) {
  const OpenBlas::Gemm<T> product = library.of<T>().gemm;
  const auto [rows, columns] = grid_of<T>(s);
  const std::int64_t a_step = s.transpose_a ? s.m : s.k;
  const std::int64_t b_step = s.transpose_b ? s.k : s.n;
  parallel_for(rows.count() * columns.count(), [&, &m = rows, &n = columns](std::int64_t block) {
    const Range i = chunk(m, block % m.count());
    const Range j = chunk(n, block / m.count());
    const T beta = begin(start, c, s.n, i, j);
    const OpenBlasCall call;
    product(kRowMajor, transposition(s.transpose_a), transposition(s.transpose_b), as_int(i.to - i.from),
            as_int(j.to - j.from), as_int(s.k), alpha, a + (s.transpose_a ? i.from : i.from * a_step),
            as_int(a_step), b + (s.transpose_b ? j.from * b_step : j.from), as_int(b_step), beta,
            c + i.from * s.n + j.from, as_int(s.n));
  });
}

/// One of the operands is a vector, which lies without gaps whether it counts as transposed or not.
template <class T>
void run_vector(const OpenBlas& library, const GemmShape& s, T alpha, const T* a, const T* b,
                const GemmStart<T>& start, T* c) {
  const OpenBlas::Gemv<T> product = library.of<T>().gemv;
  const bool column = s.n == 1;
  const std::int64_t length = column ? s.m : s.n;
  const T* const matrix = column ? a : b;
  const T* const x = column ? b : a;
  // Whether the terms of a sum lie side by side in the matrix.
  const bool along = column ? !s.transpose_a : s.transpose_b;
  const std::int64_t most = std::max<std::int64_t>(1, length / kVectorChunk);
  const Partition chunks{
      length, std::clamp<std::int64_t>(static_cast<std::int64_t>(work_of(s) / kVectorCallWork), 1, most)};
  parallel_for(chunks.count(), [&](std::int64_t block) {
    const Range r = chunk(chunks, block);
    const std::int64_t count = r.to - r.from;
    // Not left to OpenBLAS: some of its versions multiply what they were not to read.
    for (std::int64_t i = r.from; i < r.to; ++i)
      c[i] = start.bias ? start.bias[column ? 0 : i] : start.beta == T{0} ? T{0} : start.beta * c[i];
    const OpenBlasCall call;
    if (along)
      product(kRowMajor, kNoTranspose, as_int(count), as_int(s.k), alpha, matrix + r.from * s.k, as_int(s.k),
              x, 1, T{1}, c + r.from, 1);
    else
      product(kRowMajor, kTranspose, as_int(s.k), as_int(count), alpha, matrix + r.from, as_int(length), x, 1,
              T{1}, c + r.from, 1);
  });
}

}  // namespace

bool openblas_can(const GemmShape& s) noexcept {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  return s.k > 0 && s.m <= kMost && s.n <= kMost && s.k <= kMost;
}

template <class T>
void openblas_gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c) {
  const OpenBlas& library = *openblas();
  if (shape.m == 1 || shape.n == 1) return run_vector(library, shape, alpha, a, b, start, c);
  run_matrix(library, shape, alpha, a, b, start, c);
}

template void openblas_gemm<float>(const GemmShape&, float, const float*, const float*, GemmStart<float>,
                                   float*);
template void openblas_gemm<double>(const GemmShape&, double, const double*, const double*, GemmStart<double>,
                                    double*);

}  // namespace tapegrad::detail
