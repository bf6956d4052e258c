#pragma once

#include <cstdint>

#include <tapegrad/ops/kernels/isa.h>

/// A loop that is compiled once for each instruction set.
namespace tapegrad::detail {

/// On every function and lambda that takes part in such a loop: what is not inlined is not compiled for the
/// set, and not vectorised. Its place in a lambda is after the parameters.
#if defined(__GNUC__)
#define TAPEGRAD_INLINE __attribute__((always_inline))
#else
#define TAPEGRAD_INLINE
#endif

/// Before a loop whose steps are independent of each other.
#if defined(__GNUC__) && !defined(__clang__)
#define TAPEGRAD_INDEPENDENT _Pragma("GCC ivdep")
#else
#define TAPEGRAD_INDEPENDENT
#endif

#if TAPEGRAD_X86
template <class F>
TAPEGRAD_TARGET_AVX512 void run_avx512(const F& f) {
  f();
}
template <class F>
TAPEGRAD_TARGET_AVX2 void run_avx2(const F& f) {
  f();
}
#endif

/// f(), a lambda marked TAPEGRAD_INLINE, as compiled for the instruction set in use.
template <class F>
void with_isa(const F& f) {
#if TAPEGRAD_X86
  if (isa() == Isa::avx512) return run_avx512(f);
  if (isa() == Isa::avx2) return run_avx2(f);
#endif
  f();
}

/// f(i) for each i in [0, n), in steps whose length the compiler knows: it then needs no test and no code for
/// a remainder to make them vectors. No f(i) may read or write what another one writes.
template <class F>
TAPEGRAD_INLINE inline void in_steps(std::int64_t n, const F& f) {
  constexpr std::int64_t kStep = 16;
  std::int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    TAPEGRAD_INDEPENDENT
    for (std::int64_t k = 0; k < kStep; ++k) f(i + k);
  }
  for (; i < n; ++i) f(i);
}

}  // namespace tapegrad::detail
