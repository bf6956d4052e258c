#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <tapegrad/graph/export.h>

/// Loops over elements that become loops over vectors, also in a user's program that is compiled with -O2 and
/// for any processor.
///
/// At -O2, GCC vectorises a loop whose number of rounds it knows, and only where no other function is called
/// in it. So the work is done in blocks of fixed length, within functions of dispatch.h.
namespace tapegrad::detail {

/// Before a loop whose steps are independent of each other.
#if defined(__GNUC__) && !defined(__clang__)
#define TAPEGRAD_INDEPENDENT _Pragma("GCC ivdep")
#else
#define TAPEGRAD_INDEPENDENT
#endif

/// Elements of a block: one vector of the widest registers, or a few narrower ones.
inline constexpr std::int64_t kUnroll = 16;
/// Elements of a block where each costs more than a few instructions: several vectors, whose latencies overlap.
inline constexpr std::int64_t kLongUnroll = 4 * kUnroll;

/// f(i) for each i in [begin, end), in whole blocks. No f(i) may read or write what another one writes.
/// Returns where the blocks end; less than one of them is left.
template <std::int64_t kBlock, class F>
std::int64_t simd_blocks(std::int64_t begin, std::int64_t end, const F& f) {
  for (; begin + kBlock <= end; begin += kBlock) {
    TAPEGRAD_INDEPENDENT
    for (std::int64_t k = 0; k < kBlock; ++k) f(begin + k);
  }
  return begin;
}

/// f(i) for each i in [0, n). No f(i) may read or write what another one writes. Blocks of kBlock elements: of
/// kLongUnroll where a vector of what is read holds as many.
template <std::int64_t kBlock = kUnroll, class F>
void simd_for(std::int64_t n, const F& f) {
  std::int64_t i = 0;
  if constexpr (kBlock > kUnroll) i = simd_blocks<kBlock>(i, n, f);
  for (i = simd_blocks<kUnroll>(i, n, f); i < n; ++i) f(i);
}

// ---- formulas of some cost: the last, short block is padded, so that it is done in vectors as well ----

/// The elements of an operand as numbers that a formula is written in.
template <class T, class Number>
struct Elements {
  const T* p;

  Number operator[](std::int64_t i) const { return {p[i]}; }

  /// Elements of a last, short block, filled up with one of them: a formula may have no value at any other number.
  struct Padded {
    alignas(64) T v[kLongUnroll];

    Padded(const T* from, std::int64_t count) {
      for (std::int64_t k = 0; k < kLongUnroll; ++k) v[k] = *from;
      std::memcpy(v, from, static_cast<std::size_t>(count) * sizeof(T));
    }
    Number operator[](std::int64_t i) const { return {v[i]}; }
  };
  Padded padded(std::int64_t begin, std::int64_t count) const { return Padded(p + begin, count); }
};

/// Stands for an operand that has no values: each of its elements is an Absent.
template <class Absent>
struct NoElements {
  Absent operator[](std::int64_t) const { return {}; }
  NoElements padded(std::int64_t, std::int64_t) const { return {}; }
};

/// out[j] = f(operands[j]...) for j in [0, n), with the same rounding wherever an element stands. `out` may be
/// an operand, but not overlap one otherwise.
template <class T, class F, class... Operands>
void simd_map(std::int64_t n, T* out, const F& f, const Operands&... operands) {
  constexpr std::int64_t kPlain = 7;  // so many elements cost less in a plain loop than to pad
  std::int64_t j = 0;
  if (n > kPlain) {
    j = simd_blocks<kLongUnroll>(0, n, [&](std::int64_t i) { out[i] = f(operands[i]...); });
    if (n - j > kPlain) {
      const auto block = [&](const auto&... padded) {
        alignas(64) T result[kLongUnroll];
        for (std::int64_t k = 0; k < kLongUnroll; ++k) result[k] = f(padded[k]...);
        std::memcpy(out + j, result, static_cast<std::size_t>(n - j) * sizeof(T));
      };
      block(operands.padded(j, n - j)...);
      return;
    }
  }
  for (; j < n; ++j) out[j] = f(operands[j]...);
}

}  // namespace tapegrad::detail
