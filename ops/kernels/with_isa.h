#pragma once

#include <cstdint>

#include <tapegrad/ops/kernels/isa.h>

/// A loop that is compiled once for each instruction set.
namespace tapegrad::detail {

/// Before a loop whose steps are independent of each other.
#if defined(__GNUC__) && !defined(__clang__)
#define TAPEGRAD_INDEPENDENT _Pragma("GCC ivdep")
#else
#define TAPEGRAD_INDEPENDENT
#endif

#if TAPEGRAD_X86
template <class F>
TAPEGRAD_TARGET_AVX512 __attribute__((flatten)) void call_avx512(const F& f) {
  f();
}
template <class F>
TAPEGRAD_TARGET_AVX2 __attribute__((flatten)) void call_avx2(const F& f) {
  f();
}
#endif
template <class F>
__attribute__((flatten)) void call_base(const F& f) {
  f();
}

/// f(), as compiled for the instruction set in use, with all that it calls inlined: what is not inlined is
/// not compiled for the set. Functions and lambdas of several uses are marked TAPEGRAD_INLINE all the same,
/// as they must be inlined before loops are looked at.
template <class F>
void with_isa(const F& f) {
#if TAPEGRAD_X86
  if (isa() == Isa::avx512) return call_avx512(f);
  if (isa() == Isa::avx2) return call_avx2(f);
#endif
  call_base(f);
}

/// f(i) for each i in [begin, end), in steps whose length the compiler knows: it then needs no test and no
/// code for a remainder to make them vectors. No f(i) may read or write what another one writes. Returns
/// where the steps end; less than one of them is left.
template <std::int64_t kStep, class F>
TAPEGRAD_INLINE std::int64_t in_whole_steps(std::int64_t i, std::int64_t end, const F& f) {
  for (; i + kStep <= end; i += kStep) {
    TAPEGRAD_INDEPENDENT
    for (std::int64_t k = 0; k < kStep; ++k) f(i + k);
  }
  return i;
}

/// The same for all of [0, n). Elements of one byte want longer steps, to fill their vectors.
template <std::int64_t kStep = 16, class F>
TAPEGRAD_INLINE void in_steps(std::int64_t n, const F& f) {
  std::int64_t i = 0;
  if constexpr (kStep > 16) i = in_whole_steps<kStep>(i, n, f);
  for (i = in_whole_steps<16>(i, n, f); i < n; ++i) f(i);
}

}  // namespace tapegrad::detail
