#pragma once

#include <cstdint>

#include <tapegrad/graph/export.h>

/// One program for many processors: hot loops are compiled once for each instruction set below, and the
/// best one that the processor has is chosen at start.
///
/// The targets name features, never an architecture, and carry no `optimize` attribute: GCC inlines a
/// function only into one whose options contain its own, and a loop whose body is not inlined is not
/// vectorised.
namespace tapegrad::detail {

enum class Isa : std::uint8_t { base, avx2, avx512 };
inline constexpr int kIsas = 3;

#if defined(__x86_64__) && defined(__clang__)
#define TAPEGRAD_X86 1
#define TAPEGRAD_TARGET_AVX2 __attribute__((target("avx2,fma,bmi2")))
#define TAPEGRAD_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2")))
#elif defined(__x86_64__) && defined(__GNUC__)
#define TAPEGRAD_X86 1
#define TAPEGRAD_TARGET_AVX2 __attribute__((target("avx2,fma,bmi2")))
#define TAPEGRAD_TARGET_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi2,prefer-vector-width=512")))
#else
#define TAPEGRAD_X86 0
#endif

/// The set in use; `base`, what the compiler was asked for, until the library is initialised.
TAPEGRAD_API extern constinit Isa current_isa;
inline Isa isa() noexcept { return current_isa; }

/// The best set that the processor and the operating system offer.
TAPEGRAD_API Isa best_isa() noexcept;

/// For tests and benchmarks: from here on this set, or the best available below it. Not for while other
/// threads compute. Returns the set that was in use.
TAPEGRAD_API Isa set_isa(Isa requested) noexcept;

TAPEGRAD_API const char* name_of(Isa isa) noexcept;

}  // namespace tapegrad::detail
