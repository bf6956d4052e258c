#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include <tapegrad/ops/numbers/vector_math.h>

/// Sums and products of doubles with what rounding takes from them, and square roots: what elementary functions of
/// double are made of. They are for loops over vectors, as all of vector_math.h.
///
/// Source: T. J. Dekker, A Floating-Point Technique for Extending the Available Precision, 1971; D. E. Knuth, The Art
/// of Computer Programming 2, 4.2.2.
namespace tapegrad::detail::vm {

/// The unevaluated sum of two numbers, the second of which is small beside the first.
struct Pair {
  double hi;
  double lo;
};

TAPEGRAD_INLINE Pair two_sum(double a, double b) {
  const double s = rounded(a + b);
  const double of_b = rounded(s - a);
  return {s, rounded(a - rounded(s - of_b)) + rounded(b - of_b)};
}
/// The same where |a| >= |b|, or a is 0.
TAPEGRAD_INLINE Pair fast_two_sum(double a, double b) {
  const double s = rounded(a + b);
  return {s, b - rounded(s - a)};
}

/// a b + c with one rounding. The loops over vectors have the instruction; elsewhere it is a function of <cmath>.
TAPEGRAD_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

TAPEGRAD_INLINE Pair two_product(double a, double b) {
  const double p = rounded(a * b);
  return {p, fused(a, b, -p)};
}

/// x without its last bits: of 53, 53 - kBits are left. The sign of a 0 stays.
template <unsigned kBits>
TAPEGRAD_INLINE double without_low_bits(double x) {
  return from_bits<double>(bits(x) & (~std::uint64_t{0} << kBits));
}

/// A polynomial in z, with its coefficients from that of the highest power on. Without a loop: GCC would not
/// vectorise one around it.
template <class... C>
TAPEGRAD_INLINE double polynomial(double z, double highest, C... rest) {
  double y = highest;
  ((y = y * z + rest), ...);
  return y;
}

TAPEGRAD_INLINE double sqrt(double x) { return std::sqrt(x); }
TAPEGRAD_INLINE float sqrt(float x) { return std::sqrt(x); }

}  // namespace tapegrad::detail::vm
