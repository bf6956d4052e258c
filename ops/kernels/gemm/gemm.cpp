#include <algorithm>
#include <cmath>

#include <tapegrad/ops/kernels/gemm/choice.h>
#include <tapegrad/ops/kernels/gemm/engines.h>
#include <tapegrad/ops/kernels/gemm/gemm.h>
#include <tapegrad/ops/loops/parallel.h>

namespace tapegrad::detail {

template <class T>
void gemm(const GemmShape& shape, T alpha, const T* a, const T* b, GemmStart<T> start, T* c) {
  if (shape.m == 0 || shape.n == 0) return;
  if (takes_openblas(shape, dtype_of<T>))
    openblas_gemm(shape, alpha, a, b, start, c);
  else
    builtin_gemm(shape, alpha, a, b, start, c);
}

template <class T>
void gemm_batch(const GemmShape& shape, std::int64_t count, T alpha, const T* a, const std::int64_t* a_at,
                const T* b, const std::int64_t* b_at, GemmStart<T> start, T* c, const std::int64_t* c_at) {
  if (shape.m == 0 || shape.n == 0) return;
  const auto product = [&](std::int64_t i) {
    gemm(shape, alpha, a + a_at[i] * shape.m * shape.k, b + b_at[i] * shape.k * shape.n, start,
         c + c_at[i] * shape.m * shape.n);
  };
  // Few large products are computed one after the other, each in parallel; many or small ones in parallel.
  constexpr std::int64_t kFew = 8;
  if (count < kFew && work_of(shape) >= 2 * kBlockWork) {
    for (std::int64_t i = 0; i < count; ++i) product(i);
    return;
  }
  const auto together = static_cast<std::int64_t>(std::ceil(kBlockWork / std::max(1.0, work_of(shape))));
  parallel_ranges(count, together, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t i = from; i < to; ++i) product(i);
  });
}

#define TAPEGRAD_INSTANTIATE(T)                                                                              \
  template TAPEGRAD_API void gemm<T>(const GemmShape&, T, const T*, const T*, GemmStart<T>, T*);             \
  template TAPEGRAD_API void gemm_batch<T>(const GemmShape&, std::int64_t, T, const T*, const std::int64_t*, \
                                           const T*, const std::int64_t*, GemmStart<T>, T*,                  \
                                           const std::int64_t*)
TAPEGRAD_INSTANTIATE(float);
TAPEGRAD_INSTANTIATE(double);
#undef TAPEGRAD_INSTANTIATE

}  // namespace tapegrad::detail
