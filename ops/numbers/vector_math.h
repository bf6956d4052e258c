#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include <tapegrad/graph/export.h>

/// Elementary functions that a compiler can vectorise: without branches, calls or tables, so that a loop over
/// them becomes one over vectors of whatever width the loop is compiled for. Within 2 ulp in double and 4 in
/// float of the exact value (tests/ops/vector_math_test.cpp), infinities, NaN, zeros and subnormal numbers
/// included.
///
/// Both sides of a choice are always computed. `choose` then picks with integer masks rather than with `?:`,
/// which GCC would turn back into a branch around the costlier side, and a loop with branches is not
/// vectorised.
///
/// Method: W. J. Cody, W. Waite, Software Manual for the Elementary Functions, 1980, for the reductions of
/// the arguments; the polynomials are minimax approximations by Remez's algorithm.

// For functions that must be inlined before loops are looked at.
#define TAPEGRAD_INLINE inline __attribute__((always_inline))

namespace tapegrad::detail::vm {

template <class T>
struct Format;
template <>
struct Format<float> {
  using Bits = std::uint32_t;
  static constexpr int kMantissa = 23;
  static constexpr int kBias = 127;
  static constexpr float kRound = 0x1.8p23F;       // added and taken away, it rounds to an integer
  static constexpr float kLn2High = 0x1.62e4p-1F;  // few bits, so that its multiples are exact
  static constexpr float kLn2Low = 0x1.7f7d1cp-20F;
  static constexpr float kExpLowest = -104;    // exp is 0 below
  static constexpr float kExpHighest = 89;     // and infinite above
  static constexpr float kExpm1Lowest = -18;   // expm1 rounds to -1 below
  static constexpr float kExpNormal = -87.3F;  // exp is subnormal below
};
template <>
struct Format<double> {
  using Bits = std::uint64_t;
  static constexpr int kMantissa = 52;
  static constexpr int kBias = 1023;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLn2High = 0x1.62e42fefa38p-1;
  static constexpr double kLn2Low = 0x1.ef35793c7673p-45;
  static constexpr double kExpLowest = -746;
  static constexpr double kExpHighest = 710;
  static constexpr double kExpm1Lowest = -40;
  static constexpr double kExpNormal = -708.3;
};

template <class T>
using Bits = typename Format<T>::Bits;

template <class T>
TAPEGRAD_INLINE constexpr Bits<T> bits(T x) {
  return std::bit_cast<Bits<T>>(x);
}
template <class T>
TAPEGRAD_INLINE T from_bits(Bits<T> b) {
  return std::bit_cast<T>(b);
}

#if defined(__ASSOCIATIVE_MATH__) || (defined(__clang__) && defined(__FAST_MATH__))
/// 0, which no compiler knows.
TAPEGRAD_API extern const std::uint64_t kZero;

/// x as it is rounded, for what is computed of it. Users compile these templates with their own flags; one that may
/// reassociate takes (x + c) - c for x, unless the bits of the sum are needed. (__builtin_assoc_barrier does not hold
/// in vectorised loops, and an asm keeps loops from being vectorised: GCC 12.)
template <class T>
TAPEGRAD_INLINE T rounded(T x) {
  return from_bits<T>(bits(x) ^ static_cast<Bits<T>>(kZero));
}
#else
/// x as it is rounded, for what is computed of it: where the order of operations is that of the code, x itself.
template <class T>
TAPEGRAD_INLINE T rounded(T x) {
  return x;
}
#endif

/// c ? a : b, with both computed.
template <class T>
TAPEGRAD_INLINE T choose(bool c, T a, T b) {
  const Bits<T> mask = Bits<T>{0} - static_cast<Bits<T>>(c);
  return from_bits<T>((bits(a) & mask) | (bits(b) & ~mask));
}

template <class T>
TAPEGRAD_INLINE T absolute(T x) {
  return from_bits<T>(bits(x) & (~Bits<T>{0} >> 1));
}
template <class T>
TAPEGRAD_INLINE T with_sign_of(T magnitude, T sign) {
  constexpr Bits<T> kSign = ~(~Bits<T>{0} >> 1);
  return from_bits<T>((bits(magnitude) & ~kSign) | (bits(sign) & kSign));
}

/// Whether x is -0; see <tapegrad/graph/nothing.h>.
template <class T>
TAPEGRAD_INLINE bool is_nothing(T x) {
  return bits(x) == ~(~Bits<T>{0} >> 1);
}

/// x, but neither below the lowest nor above the highest; a NaN stays.
template <class T>
TAPEGRAD_INLINE T at_least(T x, T lowest) {
  return choose(x < lowest, lowest, x);
}
template <class T>
TAPEGRAD_INLINE T limited(T x, T lowest, T highest) {
  const T y = at_least(x, lowest);
  return choose(y > highest, highest, y);
}

/// 2^n for an n in the range of normal exponents.
template <class T>
TAPEGRAD_INLINE T power_of_two(Bits<T> n) {
  return from_bits<T>((n + Format<T>::kBias) << Format<T>::kMantissa);
}

/// x = n ln 2 + r with |r| <= ln 2 / 2; n modulo 2^32 or 2^64.
template <class T>
struct Reduced {
  T r;
  T lost;  // what rounding took from r
  Bits<T> integer;
};
template <class T>
TAPEGRAD_INLINE Reduced<T> reduce_by_ln2(T x) {
  constexpr T kInverse = static_cast<T>(1.4426950408889634074L);
  const T shifted = rounded(x * kInverse + Format<T>::kRound);
  const T n = rounded(shifted - Format<T>::kRound);
  const T high = rounded(x - n * Format<T>::kLn2High);  // exact
  const T low = rounded(n * Format<T>::kLn2Low);
  const T r = rounded(high - low);
  return {r, rounded(rounded(high - r) - low), bits(shifted) - bits(Format<T>::kRound)};
}

/// (e^r - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2]
TAPEGRAD_INLINE float exp_tail(float r) {
  float q = 0x1.6d7594p-10F;
  q = q * r + 0x1.120ba6p-7F;
  q = q * r + 0x1.5554b8p-5F;
  q = q * r + 0x1.5554dcp-3F;
  return q * r + 0.5F;
}
TAPEGRAD_INLINE double exp_tail(double r) {
  double q = 0x1.1f8b6e8d6abf1p-29;
  q = q * r + 0x1.af4e19fbafa5dp-26;
  q = q * r + 0x1.27e4ccb99ce04p-22;
  q = q * r + 0x1.71de021a3bde6p-19;
  q = q * r + 0x1.a01a01ad03401p-16;
  q = q * r + 0x1.a01a01abef603p-13;
  q = q * r + 0x1.6c16c16c151e5p-10;
  q = q * r + 0x1.11111111100cep-7;
  q = q * r + 0x1.5555555555558p-5;
  q = q * r + 0x1.5555555555557p-3;
  return q * r + 0.5;
}

/// y 2^n, in two factors, since 2^n alone may be infinite or subnormal where the result is not. The halving shifts a
/// number made positive, as vectors of 64-bit integers have no arithmetic shift everywhere.
template <class T>
TAPEGRAD_INLINE T times_power_of_two(T y, Bits<T> n) {
  constexpr Bits<T> kEven = 2048;
  const Bits<T> half = ((n + kEven) >> 1) - kEven / 2;
  return y * power_of_two<T>(half) * power_of_two<T>(n - half);
}

/// e^x of a reduced x
template <class T>
TAPEGRAD_INLINE T exp_of(const Reduced<T>& a) {
  const T sum = rounded(1 + a.r);
  const T lost = a.r - rounded(sum - 1) + a.lost;
  return times_power_of_two(sum + (lost + a.r * a.r * exp_tail(a.r)), a.integer);
}
template <class T>
TAPEGRAD_INLINE T exp(T x) {
  return exp_of(reduce_by_ln2(limited(x, Format<T>::kExpLowest, Format<T>::kExpHighest)));
}

template <class T>
TAPEGRAD_INLINE T expm1(T x) {
  const Reduced<T> a = reduce_by_ln2(limited(x, Format<T>::kExpm1Lowest, Format<T>::kExpHighest));
  // (2^n - 1) + 2^n (e^r - 1), by halves, since 2^n may be infinite where the result is not. Where the two
  // nearly cancel, the rounding of the largest terms is what counts: `lost` takes it up.
  const T half = power_of_two<T>(a.integer - 1);
  const T whole = rounded(half - T(0.5));
  const T sum = rounded(whole + half * a.r);
  const T lost = half * a.r - rounded(sum - whole);
  const T y = 2 * (sum + (lost + half * (a.r * a.r * exp_tail(a.r) + a.lost)));
  return choose(x == 0, x, y);
}

/// (log(1 + f) - f + f^2 / 2) / s - f^2 / 2 with s = f / (2 + f), z = s^2, over z
TAPEGRAD_INLINE float log_tail(float z) {
  float p = 0x1.2eee4ap-2F;
  p = p * z + 0x1.997bf8p-2F;
  return p * z + 0x1.55555cp-1F;
}
TAPEGRAD_INLINE double log_tail(double z) {
  double p = 0x1.2b662c09a9945p-3;
  p = p * z + 0x1.39fd33e74d4e3p-3;
  p = p * z + 0x1.7462be2db28d3p-3;
  p = p * z + 0x1.c71c62c211a6bp-3;
  p = p * z + 0x1.2492492e0f0b4p-2;
  p = p * z + 0x1.99999999951bep-2;
  return p * z + 0x1.5555555555558p-1;
}

/// log(1 + f) + n ln 2 + c for 1 + f in [sqrt(1/2), sqrt(2)], c small
template <class T>
TAPEGRAD_INLINE T log_near_one(T f, T n, T c) {
  const T s = f / (2 + f);
  const T z = s * s;
  const T half_square = T(0.5) * f * f;
  const T tail = s * (half_square + z * log_tail(z));
  const T small = rounded(half_square - rounded(tail + (n * Format<T>::kLn2Low + c)));
  return n * Format<T>::kLn2High - rounded(small - f);
}

/// x = 2^n (1 + f) for a positive normal x.
template <class T>
struct Split {
  T f;
  T n;
};
template <class T>
TAPEGRAD_INLINE Split<T> split(T x) {
  constexpr Bits<T> kRootHalf = bits(static_cast<T>(0.70710678118654752440L));
  constexpr Bits<T> kMantissa = (Bits<T>{1} << Format<T>::kMantissa) - 1;
  // An offset makes the exponent change at sqrt(1/2) 2^n; a bias keeps it positive until it is a number.
  const Bits<T> shifted = bits(x) - kRootHalf + (Bits<T>{Format<T>::kBias} << Format<T>::kMantissa);
  const Bits<T> biased = shifted >> Format<T>::kMantissa;
  const T m = from_bits<T>((shifted & kMantissa) + kRootHalf);
  // An integer of few bits, put into the mantissa of 2^mantissa, is a number without a conversion.
  const T n = from_bits<T>(biased | bits(static_cast<T>(Bits<T>{1} << Format<T>::kMantissa))) -
              (static_cast<T>(Bits<T>{1} << Format<T>::kMantissa) + Format<T>::kBias);
  return {rounded(m - 1), n};
}

template <class T>
TAPEGRAD_INLINE T log_of_special(T x, T y) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  y = choose(x == kInfinity, kInfinity, y);
  y = choose(x == 0, -kInfinity, y);
  return choose(!(x >= 0), std::numeric_limits<T>::quiet_NaN(), y);  // a NaN, too
}

template <class T>
TAPEGRAD_INLINE T log(T x) {
  constexpr T kScale = static_cast<T>(Bits<T>{1} << Format<T>::kMantissa);
  const bool subnormal = x < std::numeric_limits<T>::min();
  const Split<T> a = split(choose(subnormal, x * kScale, x));
  const T n = a.n - choose<T>(subnormal, Format<T>::kMantissa, 0);
  return log_of_special(x, log_near_one(a.f, n, T(0)));
}

template <class T>
TAPEGRAD_INLINE T log1p(T x) {
  const T u = rounded(1 + x);
  const Split<T> a = split(u);
  // What the sum has lost of x, or of 1, over u.
  const T lost = choose(x > 1, 1 - rounded(u - x), x - rounded(u - 1));
  const bool whole = a.n == 0;  // then f = x without loss
  const T f = choose(whole, x, a.f);
  const T c = choose(whole, T(0), lost / u);
  const T y = log_near_one(f, a.n, c);
  return choose(x == 0, x, log_of_special(u, y));
}

// Sigmoid and tanh round to 1. Both, what is left to 1, and their derivatives come of e^-|x| by one division, with
// all digits on either side.

/// e^x for x <= 0.
template <class T>
TAPEGRAD_INLINE T exp_of_negative(T x) {
  const Reduced<T> a = reduce_by_ln2(at_least(x, Format<T>::kExpLowest));
  // 2^n in two factors, the first of which is normal where the result is subnormal.
  constexpr Bits<T> kLift = Format<T>::kBias / 2;
  const T lifted = (1 + (a.r + a.r * a.r * exp_tail(a.r))) * power_of_two<T>(a.integer + kLift);
  return lifted * power_of_two<T>(Bits<T>{0} - kLift);
}

/// n / (1 + e) for 0 <= e <= 1. Double is within 2 ulp only with what rounding took from the sum and from n, `lost`;
/// 1 - e / 2 is near enough to 1 / (1 + e) for these.
template <class T>
TAPEGRAD_INLINE T over_one_plus(T n, T lost, T e) {
  const T sum = rounded(1 + e);
  const T q = n / sum;
  if constexpr (sizeof(T) < sizeof(double)) return q;
  return q - (q * (e - rounded(sum - 1)) - lost) * (1 - T(0.5) * e);
}

/// 1 / (1 + e^|x|): the smaller one of sigmoid(x) and 1 - sigmoid(x).
template <class T>
TAPEGRAD_INLINE T smaller_sigmoid(T x) {
  const T e = exp_of_negative(-absolute(x));
  return over_one_plus(e, T(0), e);
}
/// y = 1 / (1 + e^-x), and 1 - y.
template <class T>
struct WithComplement {
  T y;
  T complement;
};
template <class T>
TAPEGRAD_INLINE WithComplement<T> sigmoid_and_complement(T x) {
  const T q = smaller_sigmoid(x);
  return {choose(x < 0, q, 1 - q), choose(x < 0, 1 - q, q)};
}
template <class T>
TAPEGRAD_INLINE T sigmoid(T x) {
  return sigmoid_and_complement(x).y;
}
/// The derivative of sigmoid.
template <class T>
TAPEGRAD_INLINE T sigmoid_slope(T x) {
  const T q = smaller_sigmoid(x);
  return q * (1 - q);
}

/// y = tanh(|x|) = (1 - e) / (1 + e) with e = e^-2|x|, and 1 - y = 2 e / (1 + e); 0 where that would be subnormal.
template <class T>
TAPEGRAD_INLINE WithComplement<T> tanh_and_complement(T x) {
  const T exponent = -2 * absolute(x);
  const Reduced<T> a = reduce_by_ln2(at_least(exponent, Format<T>::kExpNormal));
  const T p = power_of_two<T>(a.integer);
  const T rest =
      p * (a.r + (a.lost + a.r * a.r * exp_tail(a.r)));  // p + rest is e, 1 - p is exact where it counts
  const T e = rounded(p + rest);
  const bool small = e > T(0.3);
  const T difference = rounded(rounded(1 - p) - rest);
  const T lost = rounded(rounded(1 - p) - difference) - rest;
  const T quotient = over_one_plus(choose(small, difference, 2 * e), choose(small, lost, T(0)), e);
  return {choose(small, quotient, 1 - quotient),
          choose(exponent < Format<T>::kExpNormal, T(0), choose(small, 1 - quotient, quotient))};
}
template <class T>
TAPEGRAD_INLINE T tanh(T x) {
  return with_sign_of(tanh_and_complement(x).y, x);
}
/// The derivative of tanh: 1 / cosh(x)^2
template <class T>
TAPEGRAD_INLINE T tanh_slope(T x) {
  return 4 * sigmoid_slope(2 * x);
}
}  // namespace tapegrad::detail::vm
