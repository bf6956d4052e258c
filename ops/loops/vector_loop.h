#pragma once

#include <cstddef>
#include <cstring>

#include <tapegrad/ops/loops/dispatch.h>

/// Loops over elements that become loops over vectors, also in a user's program that is compiled with -O2 and
/// for any processor.
///
/// At -O2, GCC vectorises a loop whose number of rounds it knows, and only where no other function is called
/// in it. So the work is done in trips of fixed length, within functions of dispatch.h.
namespace tapegrad::detail {

/// Elements of a trip: a few vectors, so that their latencies overlap.
inline constexpr std::size_t kUnroll = 64;
/// So many elements are left to a plain loop, which costs less than to pad them.
inline constexpr std::size_t kPlain = 7;

/// The elements of an operand.
template <class T, class Number>
struct Elements {
  const T* p;

  Number operator[](std::size_t i) const { return {p[i]}; }

  /// Elements of a last, short trip, filled up.
  struct Padded {
    alignas(64) T v[kUnroll];

    Padded(const T* from, std::size_t count) {
      for (std::size_t k = 0; k < kUnroll; ++k) v[k] = T{1};
      std::memcpy(v, from, count * sizeof(T));
    }
    Number operator[](std::size_t i) const { return {v[i]}; }
  };
  Padded padded(std::size_t begin, std::size_t count) const { return Padded(p + begin, count); }
};

/// Stands for an operand that has no values: each of its elements is an Absent.
template <class Absent>
struct NoElements {
  Absent operator[](std::size_t) const { return {}; }
  NoElements padded(std::size_t, std::size_t) const { return {}; }
};

/// out[j] = f(operands[j]...) for j in [0, n), with the same rounding wherever an element stands.
template <class T, class F, class... Operands>
void vector_loop(std::size_t n, T* out, const F& f, const Operands&... operands) {
  std::size_t j = 0;
  for (; n - j >= kUnroll; j += kUnroll)
    TAPEGRAD_INDEPENDENT  // `out` may be an operand, but not overlap one otherwise
        for (std::size_t k = 0; k < kUnroll; ++k) out[j + k] = f(operands[j + k]...);
  if (n - j > kPlain) {
    const auto trip = [&](const auto&... padded) {
      alignas(64) T result[kUnroll];
      for (std::size_t k = 0; k < kUnroll; ++k) result[k] = f(padded[k]...);
      std::memcpy(out + j, result, (n - j) * sizeof(T));
    };
    trip(operands.padded(j, n - j)...);
    return;
  }
  for (; j < n; ++j) out[j] = f(operands[j]...);
}

}  // namespace tapegrad::detail
