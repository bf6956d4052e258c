#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <new>
#include <string_view>
#include <type_traits>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/kernels/blas.h>
#include <tapegrad/ops/kernels/parallel.h>
#include <tapegrad/ops/threads.h>

#include <fmt/format.h>

namespace tapegrad::detail {

namespace {

// ---- the BLAS's own threads ----

// The setting is the process's: the first that enters saves it, the last that leaves puts it back.
class ProcessSetting {
 public:
  static ProcessSetting& instance() {
    static ProcessSetting setting;
    [[maybe_unused]] static const int registered =
        pthread_atfork(nullptr, nullptr, [] { setting.after_fork(); });
    return setting;
  }
  /// `each`: every thread that enters has to ask, not only the first.
  void enter(bool each) {
    const std::lock_guard lock(mutex_);
    if (inside_++ == 0 && saved_ == 0) saved_ = openblas_get_num_threads();
    if (inside_ == 1 || each) openblas_set_num_threads(1);
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    if (--inside_ > 0) return;
    // Another number than ours is what the program has set meanwhile: it stands.
    if (openblas_get_num_threads() == 1) openblas_set_num_threads(saved_);
    saved_ = 0;
  }

 private:
  // Who was inside at the fork does not exist in the child; what was saved is put back by the next that
  // leaves.
  void after_fork() {
    new (&mutex_) std::mutex;
    inside_ = 0;
  }

  std::mutex mutex_;
  int inside_ = 0;
  int saved_ = 0;
};

// OpenBLAS's OpenMP build uses as many threads as OpenMP would give the calling thread, whatever
// openblas_set_num_threads said elsewhere. So there the thread's own OpenMP setting is the one to change. The
// functions are those of the OpenMP runtime that the BLAS has brought along.
struct OpenMp {
  int (*get_max_threads)() = nullptr;
  void (*set_num_threads)(int) = nullptr;

  static OpenMp find() {
    return {reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads")),
            reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"))};
  }
  bool found() const { return get_max_threads && set_num_threads; }
};

constexpr int kSerialBuild = 0;
constexpr int kOpenMpBuild = 2;

/// While it lives, BLAS calls of this thread are single-threaded.
class SingleThreaded {
 public:
  SingleThreaded() {
    static const int build = openblas_get_parallel();
    static const OpenMp omp = build == kOpenMpBuild ? OpenMp::find() : OpenMp{};
    if (build == kSerialBuild) return;
    if (omp.found()) {
      saved_ = omp.get_max_threads();
      restore_ = omp.set_num_threads;
      restore_(1);
    } else {
      process_ = &ProcessSetting::instance();
      process_->enter(build == kOpenMpBuild);
    }
  }
  ~SingleThreaded() {
    if (restore_) restore_(saved_);
    if (process_) process_->leave();
  }
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  void (*restore_)(int) = nullptr;
  int saved_ = 0;
  ProcessSetting* process_ = nullptr;
};

// ---- one piece of a product ----

blasint as_blasint(std::int64_t n) { return static_cast<blasint>(n); }

void require_countable(const GemmShape& s) {
  constexpr std::int64_t kMost = std::numeric_limits<blasint>::max();
  if (std::max({s.m, s.n, s.k}) > kMost)
    throw ArgumentError(
        fmt::format("{}: a product of [{}, {}] and [{}, {}] has a dimension above {}, the most that the "
                    "BLAS can count; split it",
                    op_label("matmul"), s.m, s.k, s.k, s.n, kMost));
}

// Below so many multiply-adds the preparations for a call of the BLAS cost more than a plain loop.
constexpr std::int64_t kSmallWork = 512;
constexpr std::int64_t kSmallDepth = 64;

bool is_small(const GemmShape& s) {
  return s.k <= kSmallDepth && s.m <= kSmallWork && s.n <= kSmallWork && s.m * s.n * s.k <= kSmallWork;
}

bool is_vector(const GemmShape& s) { return s.m == 1 || s.n == 1; }

/// Rows [i0, i1) and columns [j0, j1) of the product.
template <class T>
class Piece {
 public:
  Piece(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c, std::int64_t i0,
        std::int64_t i1, std::int64_t j0, std::int64_t j1)
      : s_(shape),
        alpha_(alpha),
        start_(start),
        m_(i1 - i0),
        n_(j1 - j0),
        lda_(shape.transpose_a ? shape.m : shape.k),
        ldb_(shape.transpose_b ? shape.k : shape.n),
        a_(a + (shape.transpose_a ? i0 : i0 * lda_)),
        b_(b + (shape.transpose_b ? j0 * ldb_ : j0)),
        c_(c + i0 * shape.n + j0) {
    if (start_.bias) start_.bias += j0;
  }

  void run() {
    if (s_.k == 0) return begin();
    if (is_small(s_)) return begin(), add_small();
    if (s_.k == 1) return begin(), add_outer();
    if (is_vector(s_)) return begin(), add_vector();
    if (start_.bias) begin();  // the BLAS would clear c first: with a bias in it, c is written once
    const SingleThreaded guard;
    const auto ta = s_.transpose_a ? CblasTrans : CblasNoTrans;
    const auto tb = s_.transpose_b ? CblasTrans : CblasNoTrans;
    const auto call = [&](auto* blas) {
      blas(CblasRowMajor, ta, tb, as_blasint(m_), as_blasint(n_), as_blasint(s_.k), alpha_, a_,
           as_blasint(lda_), b_, as_blasint(ldb_), start_.beta, c_, as_blasint(s_.n));
    };
    if constexpr (std::is_same_v<T, float>)
      call(&cblas_sgemm);
    else
      call(&cblas_dgemm);
  }

 private:
  // Brings c to what the product is added to; from then on it counts once.
  void begin() {
    for (std::int64_t i = 0; i < m_; ++i) {
      T* row = c_ + i * s_.n;
      if (start_.bias) {
        std::copy_n(start_.bias, n_, row);
      } else if (start_.beta == T{0}) {
        std::fill_n(row, n_, T{0});
      } else if (start_.beta != T{1}) {
        for (std::int64_t j = 0; j < n_; ++j) row[j] *= start_.beta;
      }
    }
    start_ = {T{1}, nullptr};
  }

  // Eight columns at a time, filled up with zeros, so that the innermost loop has a fixed length.
  void add_small() {
    constexpr std::int64_t kWidth = 8;
    const std::int64_t along_row = s_.transpose_a ? 1 : lda_;
    const std::int64_t along_k = s_.transpose_a ? lda_ : 1;
    const std::int64_t b_along_k = s_.transpose_b ? 1 : ldb_;
    const std::int64_t b_along_row = s_.transpose_b ? ldb_ : 1;
    T columns[kSmallDepth * kWidth];
    for (std::int64_t j0 = 0; j0 < n_; j0 += kWidth) {
      const std::int64_t width = std::min(kWidth, n_ - j0);
      for (std::int64_t p = 0; p < s_.k; ++p) {
        const T* from = b_ + p * b_along_k + j0 * b_along_row;
        for (std::int64_t j = 0; j < kWidth; ++j)
          columns[p * kWidth + j] = j < width ? from[j * b_along_row] : T{0};
      }
      for (std::int64_t i = 0; i < m_; ++i) {
        T* const to = c_ + i * s_.n + j0;
        T sum[kWidth] = {};
        for (std::int64_t p = 0; p < s_.k; ++p) {
          const T factor = a_[i * along_row + p * along_k];
          for (std::int64_t j = 0; j < kWidth; ++j) sum[j] += factor * columns[p * kWidth + j];
        }
        for (std::int64_t j = 0; j < width; ++j) to[j] += alpha_ * sum[j];
      }
    }
  }

  void add_outer() {
    for (std::int64_t i = 0; i < m_; ++i) add_scaled(alpha_ * a_[i], b_, c_ + i * s_.n);
  }

  void add_scaled(T factor, const T* from, T* to) {
    for (std::int64_t j = 0; j < n_; ++j) to[j] += factor * from[j];
  }

  // A matrix and a vector; the vector lies without gaps whether it counts as transposed or not.
  void add_vector() {
    const bool column = s_.n == 1;
    const T* matrix = column ? a_ : b_;
    const T* vector = column ? b_ : a_;
    const blasint ld = as_blasint(column ? lda_ : ldb_);
    const blasint length = as_blasint(column ? m_ : n_);
    const blasint k = as_blasint(s_.k);
    const bool by_rows = column ? !s_.transpose_a : s_.transpose_b;
    const SingleThreaded guard;
    const auto call = [&](auto* blas) {
      blas(CblasRowMajor, by_rows ? CblasNoTrans : CblasTrans, by_rows ? length : k, by_rows ? k : length,
           alpha_, matrix, ld, vector, 1, T{1}, c_, 1);
    };
    if constexpr (std::is_same_v<T, float>)
      call(&cblas_sgemv);
    else
      call(&cblas_dgemv);
  }

  const GemmShape& s_;
  T alpha_;
  GemmStart<T> start_;
  std::int64_t m_, n_;
  std::int64_t lda_, ldb_;
  const T* a_;
  const T* b_;
  T* c_;
};

// ---- the pieces ----

// Multiply-adds of a piece, about. OpenBLAS has kernels of their own for products below 100^3, whose results
// differ: no piece may come near that.
constexpr double kPieceWork = 2 * 1024 * 1024;
// Kernels compute tiles of c; a piece that cuts one in two wastes part of it.
constexpr std::int64_t kTile = 16;
constexpr std::int64_t kMostPieces = 16;

double work_of(const GemmShape& s) {
  return static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
}

template <class T>
std::int64_t most_pieces(const GemmShape& s) {
  return gemm_pieces_equal_whole<T>() && !is_vector(s) ? std::min<std::int64_t>(threads(), kMostPieces)
                                                       : kMostPieces;
}

}  // namespace

GemmPieces::GemmPieces(const GemmShape& s, std::int64_t most) : rows(s.m > s.n), extent(std::max(s.m, s.n)) {
  const double wanted = std::min(std::round(work_of(s) / kPieceWork), static_cast<double>(most));
  count =
      std::clamp(std::min(static_cast<std::int64_t>(wanted), extent / kTile), std::int64_t{1}, kMostPieces);
}

std::int64_t GemmPieces::bound(std::int64_t i) const {
  if (i == count) return extent;
  return (2 * extent * i / count + kTile) / (2 * kTile) * kTile;  // rounded to the nearest tile
}

template <class T>
bool gemm_pieces_equal_whole() noexcept {
  // What the tests have shown, for the kernels that OpenBLAS chose at start.
  static const bool equal = [] {
    if (!std::string_view(openblas_get_config()).starts_with("OpenBLAS 0.3.21 ")) return false;
    const std::string_view core = openblas_get_corename();
    const auto is_one_of = [&](auto... names) { return ((core == names) || ...); };
    if (is_one_of("Prescott", "Nehalem", "Sandybridge")) return true;
    return sizeof(T) == sizeof(float) ? is_one_of("SkylakeX", "Cooperlake") : is_one_of("Haswell", "Zen");
  }();
  return equal;
}

template <class T>
void gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c) {
  if (is_small(shape)) return Piece<T>(shape, alpha, a, b, start, c, 0, shape.m, 0, shape.n).run();
  constexpr std::int64_t kFirst = 0;
  gemm_batch(shape, 1, alpha, a, &kFirst, b, &kFirst, start, c, &kFirst);
}

template <class T>
void gemm_batch(const GemmShape& shape, std::int64_t count, T alpha, const T* a, const std::int64_t* a_at,
                const T* b, const std::int64_t* b_at, GemmStart<T> start, T* c, const std::int64_t* c_at) {
  if (count == 0 || shape.m == 0 || shape.n == 0) return;
  require_countable(shape);
  const auto product = [&](std::int64_t i, std::int64_t i0, std::int64_t i1, std::int64_t j0,
                           std::int64_t j1) {
    Piece<T>(shape, alpha, a + a_at[i] * shape.m * shape.k, b + b_at[i] * shape.k * shape.n, start,
             c + c_at[i] * shape.m * shape.n, i0, i1, j0, j1)
        .run();
  };
  const GemmPieces pieces(shape, most_pieces<T>(shape));
  if (pieces.count > 1) {
    parallel_for(count * pieces.count, [&](std::int64_t block) {
      const std::int64_t i = block / pieces.count;
      const std::int64_t from = pieces.bound(block % pieces.count);
      const std::int64_t to = pieces.bound(block % pieces.count + 1);
      if (pieces.rows)
        product(i, from, to, 0, shape.n);
      else
        product(i, 0, shape.m, from, to);
    });
    return;
  }
  const auto together = static_cast<std::int64_t>(std::ceil(kPieceWork / std::max(1.0, work_of(shape))));
  parallel_ranges(count, together, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) product(i, 0, shape.m, 0, shape.n);
  });
}

#define TAPEGRAD_INSTANTIATE(T)                                                                              \
  template TAPEGRAD_API bool gemm_pieces_equal_whole<T>() noexcept;                                          \
  template TAPEGRAD_API void gemm<T>(const GemmShape&, T, const T*, const T*, GemmStart<T>, T*);             \
  template TAPEGRAD_API void gemm_batch<T>(const GemmShape&, std::int64_t, T, const T*, const std::int64_t*, \
                                           const T*, const std::int64_t*, GemmStart<T>, T*,                  \
                                           const std::int64_t*)
TAPEGRAD_INSTANTIATE(float);
TAPEGRAD_INSTANTIATE(double);
#undef TAPEGRAD_INSTANTIATE

}  // namespace tapegrad::detail
