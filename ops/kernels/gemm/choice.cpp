#include <tapegrad/ops/kernels/gemm/choice.h>

#include <algorithm>

#include <tapegrad/ops/kernels/gemm/engines.h>

namespace tapegrad::detail {

constinit std::atomic<MatmulEngine> current_engine{MatmulEngine::automatic};

namespace {

std::int64_t least_of(const GemmShape& s) { return std::min({s.m, s.n, s.k}); }

// By `tapegrad bench --filter 'gemm*'` and the shapes around its own: one thread, OpenBLAS 0.3.21 in the blocks of
// openblas.cpp. Figures are GFLOPS of the builtin kernels over OpenBLAS's: below 1 OpenBLAS is faster.

// Each says whether OpenBLAS is faster at a shape.

/// AVX-512, OpenBLAS's Cooperlake kernels:
///
///     up to 100^3 multiply-adds, for which OpenBLAS has kernels that do not pack:
///       b not transposed             f32 0.87-1.02 from sizes of 48 on, below to 1.4
///                                    f64 0.83-1.0 from sizes of 20 on (a transposed: 10), beyond 128 terms to 1.1
///       both transposed              0.64-1.0 from 32 rows on and up to 128 terms and columns, else to 2.1
///       b alone transposed           1.1-3
///     beyond: squares                f32 1.03-1.25, f64 1.2-1.36
///       other shapes, vectors        1.03-2.2
///       f32, a transposed, much higher than wide    0.5-0.95
bool both_transposed_avx512(const GemmShape& s) {
  return s.transpose_a && s.m >= 32 && least_of(s) >= kLeastOpenblasSize && std::max({s.m, s.n, s.k}) <= 128;
}
bool f32_avx512(const GemmShape& s) {
  if (work_of(s) <= 1e6) return s.transpose_b ? both_transposed_avx512(s) : least_of(s) >= 48;
  return s.transpose_a && s.m >= 2048 && s.m >= 8 * s.n && s.n >= 64 && s.k >= 512;
}
bool f64_avx512(const GemmShape& s) {
  if (work_of(s) > 1e6) return false;
  if (s.transpose_b) return both_transposed_avx512(s);
  return least_of(s) >= (s.transpose_a ? kLeastOpenblasSize : 20) && s.k <= 128;
}

/// AVX2, OpenBLAS's Haswell kernels, on the same processor: f32 0.93-1.0 from 3 to 30 million multiply-adds, 0.87-0.98
/// much higher than wide, else 0.97-1.3; f64 0.95-1.5.
bool f32_avx2(const GemmShape& s) {
  if (std::min(s.m, s.n) < 48) return false;
  const double work = work_of(s);
  return (work >= 3e6 && work <= 3e7) || (s.m >= 2048 && s.m >= 8 * s.n && s.k >= 512);
}
bool f64_avx2(const GemmShape&) { return false; }

/// SSE2, OpenBLAS's Nehalem kernels, on the same processor: f32 0.68-0.97 from sizes of 48 on up to 256^3, 0.88-0.92
/// much higher than wide, else 1.0-1.25; f64 0.90-0.96 up to 256^3. Base sets of other processors were not measured.
bool f64_base(const GemmShape& s) { return TAPEGRAD_X86 && least_of(s) >= 48 && work_of(s) <= 3e7; }
bool f32_base(const GemmShape& s) {
  return f64_base(s) || (TAPEGRAD_X86 && least_of(s) >= 48 && s.m >= 2048 && s.m >= 8 * s.n && s.k >= 512);
}

struct FasterRule {
  Isa isa;
  Dtype dtype;
  bool (*openblas_is_faster)(const GemmShape&);
};
/// The rules of every instruction set and dtype of products; OpenBLAS is not taken where there is none.
constexpr FasterRule kRules[] = {
    {Isa::base, f32, f32_base}, {Isa::base, f64, f64_base},     {Isa::avx2, f32, f32_avx2},
    {Isa::avx2, f64, f64_avx2}, {Isa::avx512, f32, f32_avx512}, {Isa::avx512, f64, f64_avx512},
};

bool openblas_is_faster(const GemmShape& s, Dtype dtype) {
  for (const FasterRule& r : kRules)
    if (r.isa == isa() && r.dtype == dtype) return r.openblas_is_faster(s);
  return false;
}

}  // namespace

bool openblas_fits_processor(const OpenBlas& library) noexcept { return library.isa == isa(); }

bool takes_openblas_beyond_tiny(MatmulEngine engine, const GemmShape& shape, Dtype dtype) {
  if (!openblas_can(shape)) return false;
  if (engine == MatmulEngine::openblas) return true;
  if (!openblas_is_faster(shape, dtype)) return false;
  const OpenBlas* const library = openblas();
  return library && openblas_fits_processor(*library);
}

}  // namespace tapegrad::detail
