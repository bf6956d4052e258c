#include <tapegrad/ops/kernels/gemm/builtin/kernels.h>

#if TAPEGRAD_X86
#include <immintrin.h>

#define TAPEGRAD_KERNEL TAPEGRAD_TARGET_AVX512

namespace tapegrad::detail {
namespace {

constexpr int kBytes = 64;
constexpr int kRows = 14;
constexpr int kWideRows = 9;
constexpr int kDepth = 384;
constexpr bool kFreeMasks = true;

template <class T>
using Vec = typename VecOf<T, kBytes>::type;

TAPEGRAD_KERNEL inline __mmask16 first(std::int64_t count) {
  return static_cast<__mmask16>(_bzhi_u32(0xffff, static_cast<unsigned>(count < 16 ? count : 16)));
}
TAPEGRAD_KERNEL inline Vec<float> load_part(const float* p, std::int64_t count) {
  return _mm512_maskz_loadu_ps(first(count), p);
}
TAPEGRAD_KERNEL inline void store_part(float* p, Vec<float> v, std::int64_t count) {
  _mm512_mask_storeu_ps(p, first(count), v);
}
TAPEGRAD_KERNEL inline Vec<double> load_part(const double* p, std::int64_t count) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>(first(count)), p);
}
TAPEGRAD_KERNEL inline void store_part(double* p, Vec<double> v, std::int64_t count) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first(count)), v);
}

}  // namespace
}  // namespace tapegrad::detail

#define TAPEGRAD_IN_REGISTER(v) asm("" : "+v"(v))

#include <tapegrad/ops/kernels/gemm/builtin/tile.inc>

TAPEGRAD_DEFINE_GEMM_KERNELS(avx512)
#endif
