#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#include <tapegrad/graph/export.h>

/// Loops over elements that become loops over vectors, also in a user's program that is compiled with -O2 and
/// for any processor.
///
/// At -O2, GCC vectorises a loop whose number of rounds it knows, and only where no other function is called in it
/// than those of vector_calls.h. So the work is done in blocks of fixed length, within functions of dispatch.h.
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
/// The elements of as many blocks as n elements take.
constexpr std::int64_t whole_vectors(std::int64_t n) { return (n + kUnroll - 1) / kUnroll * kUnroll; }

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

  /// A last, short block.
  struct Buffer {
    alignas(64) T v[kLongUnroll];
  };
  /// Elements from `begin` on; a block of less than kLongUnroll is filled up with one of them: a formula may have no
  /// value at any other number.
  Elements block(std::int64_t begin, std::int64_t count, Buffer& buffer) const {
    const T* const from = p + begin;
    if (count >= kLongUnroll) return {from};
    for (std::int64_t k = 0; k < kLongUnroll; ++k) buffer.v[k] = *from;
    std::memcpy(buffer.v, from, static_cast<std::size_t>(count) * sizeof(T));
    return {buffer.v};
  }
};

/// Stands for an operand that has no values: each of its elements is an Absent.
template <class Absent>
struct NoElements {
  Absent operator[](std::int64_t) const { return {}; }

  struct Buffer {};
  NoElements block(std::int64_t, std::int64_t, Buffer&) const { return {}; }
};

inline constexpr std::int64_t kPlain = 7;  ///< so many elements cost less in a plain loop than to pad

/// f(begin, count, block...) for blocks of kLongUnroll elements that cover [0, n), the last one padded; count is what
/// there is of it. One piece of code for all of them: a formula is long, and compiled for each instruction set.
template <class F, class... Operands>
void padded_blocks(std::int64_t n, const F& f, const Operands&... operands) {
  std::tuple<typename Operands::Buffer...> buffers;
  for (std::int64_t begin = 0; begin < n; begin += kLongUnroll) {
    const std::int64_t count = std::min(kLongUnroll, n - begin);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      f(begin, count, operands.block(begin, count, std::get<I>(buffers))...);
    }
    (std::index_sequence_for<Operands...>());
  }
}

/// out[j] = f(operands[j]...) for j in [0, n), with the same rounding wherever an element stands. `out` may be
/// an operand, but not overlap one otherwise.
template <class T, class F, class... Operands>
void simd_map(std::int64_t n, T* out, const F& f, const Operands&... operands) {
  if (n <= kPlain) {
    for (std::int64_t j = 0; j < n; ++j) out[j] = f(operands[j]...);
    return;
  }
  alignas(64) T last[kLongUnroll];
  padded_blocks(
      n,
      [&](std::int64_t begin, std::int64_t count, const auto&... block) {
        T* const to = count < kLongUnroll ? last : out + begin;
        TAPEGRAD_INDEPENDENT
        for (std::int64_t k = 0; k < kLongUnroll; ++k) to[k] = f(block[k]...);
        if (count < kLongUnroll) std::memcpy(out + begin, last, static_cast<std::size_t>(count) * sizeof(T));
      },
      operands...);
}

/// The same with several results, in arrays that do not overlap: f gives an std::array of them, whose element r goes to
/// out[r], or nowhere where that is null.
template <class T, std::size_t kResults, class F, class... Operands>
void simd_map_several(std::int64_t n, T* const* out, const F& f, const Operands&... operands) {
  alignas(64) T last[kResults][kLongUnroll];
  if (n <= kPlain) {
    for (std::int64_t k = 0; k < n; ++k) {
      const std::array<T, kResults> all = f(operands[k]...);
      for (std::size_t r = 0; r < kResults; ++r)
        if (out[r]) out[r][k] = all[r];
    }
    return;
  }
  padded_blocks(
      n,
      [&](std::int64_t begin, std::int64_t count, const auto&... block) {
        std::array<T*, kResults> to;
        for (std::size_t r = 0; r < kResults; ++r)
          to[r] = count < kLongUnroll || !out[r] ? last[r] : out[r] + begin;
        [&]<std::size_t... R>(std::index_sequence<R...>) {
          TAPEGRAD_INDEPENDENT
          for (std::int64_t k = 0; k < kLongUnroll; ++k) {
            const std::array<T, kResults> all = f(block[k]...);
            ((to[R][k] = all[R]), ...);
          }
        }
        (std::make_index_sequence<kResults>());
        if (count < kLongUnroll)
          for (std::size_t r = 0; r < kResults; ++r)
            if (out[r]) std::memcpy(out[r] + begin, last[r], static_cast<std::size_t>(count) * sizeof(T));
      },
      operands...);
}

}  // namespace tapegrad::detail
