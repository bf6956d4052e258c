#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>

#if TAPEGRAD_X86
#include <immintrin.h>

#include <algorithm>

#define TAPEGRAD_KERNEL TAPEGRAD_TARGET_AVX2

namespace tapegrad::detail {
namespace {

constexpr int kBytes = 32;
constexpr int kRows = 6;
constexpr int kWideRows = 4;
constexpr int kDepth = 256;
constexpr bool kFreeMasks = false;

template <class T>
using Vec = typename VecOf<T, kBytes>::type;

// Masks are taken out of these where as many of their elements are set as wanted.
alignas(64) constexpr int kMasks32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
alignas(64) constexpr long long kMasks64[8] = {-1, -1, -1, -1};

TAPEGRAD_KERNEL inline __m256i first(const float*, std::int64_t count) {
  return _mm256_loadu_si256(
      reinterpret_cast<const __m256i*>(kMasks32 + 8 - std::min<std::int64_t>(count, 8)));
}
TAPEGRAD_KERNEL inline __m256i first(const double*, std::int64_t count) {
  return _mm256_loadu_si256(
      reinterpret_cast<const __m256i*>(kMasks64 + 4 - std::min<std::int64_t>(count, 4)));
}
TAPEGRAD_KERNEL inline Vec<float> load_part(const float* p, std::int64_t count) {
  return _mm256_maskload_ps(p, first(p, count));
}
TAPEGRAD_KERNEL inline void store_part(float* p, Vec<float> v, std::int64_t count) {
  _mm256_maskstore_ps(p, first(p, count), v);
}
TAPEGRAD_KERNEL inline Vec<double> load_part(const double* p, std::int64_t count) {
  return _mm256_maskload_pd(p, first(p, count));
}
TAPEGRAD_KERNEL inline void store_part(double* p, Vec<double> v, std::int64_t count) {
  _mm256_maskstore_pd(p, first(p, count), v);
}

}  // namespace
}  // namespace tapegrad::detail

#define TAPEGRAD_IN_REGISTER(v) asm("" : "+x"(v))

#include <tapegrad/ops/kernels/gemm/builtin/tile.inc>

TAPEGRAD_DEFINE_GEMM_KERNELS(avx2)
#endif
