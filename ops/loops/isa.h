#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <tapegrad/graph/export.h>

/// One program for many processors: hot loops are compiled once for each instruction set below, and the
/// best one that the processor has is chosen at start.
///
/// The targets name features, never an architecture, and carry no `optimize` attribute: GCC inlines a
/// function only into one whose options contain its own, and a loop whose body is not inlined is not
/// vectorised.
namespace tapegrad::detail {

enum class Isa : std::uint8_t { base, avx2, avx512 };
inline constexpr std::array kIsas{Isa::base, Isa::avx2, Isa::avx512};

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

/// The set that kernels are compiled for where CMake's TAPEGRAD_ISA names one; else they are for every set.
#ifdef TAPEGRAD_ISA
inline constexpr std::optional<Isa> kOnlyIsa = Isa::TAPEGRAD_ISA;
static_assert(TAPEGRAD_X86 || kOnlyIsa == Isa::base, "TAPEGRAD_ISA names a set of another kind of processor");
#else
inline constexpr std::optional<Isa> kOnlyIsa = std::nullopt;
#endif
constexpr bool is_compiled(Isa isa) { return !kOnlyIsa || *kOnlyIsa == isa; }

/// The set in use; `base`, what the compiler was asked for, until the library is initialised.
TAPEGRAD_API extern constinit Isa current_isa;
inline Isa isa() noexcept { return current_isa; }

/// The best set that the processor and the operating system offer.
TAPEGRAD_API Isa best_isa() noexcept;

/// Whether kernels are compiled for a set that the processor has.
inline bool is_usable(Isa isa) noexcept { return is_compiled(isa) && isa <= best_isa(); }

/// For tests and benchmarks: from here on this set, or the best available below it. Not for while other
/// threads compute. Returns the set that was in use.
TAPEGRAD_API Isa set_isa(Isa requested) noexcept;

TAPEGRAD_API const char* name_of(Isa isa) noexcept;

}  // namespace tapegrad::detail
