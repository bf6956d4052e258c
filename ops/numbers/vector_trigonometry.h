#pragma once

#include <tapegrad/ops/numbers/vector_pairs.h>

/// Trigonometric functions and their inverses for loops over vectors: within 2 ulp in double; of floats they are
/// computed in double and rounded.
///
/// Source: W. J. Cody, W. Waite, Software Manual for the Elementary Functions, 1980, for the reduction; the forms of
/// the polynomials are those of fdlibm (Sun Microsystems, 1993), their coefficients interpolate at Chebyshev's
/// points; the short ones are FreeBSD's of sinf and cosf.
namespace tapegrad::detail::vm {

inline constexpr double kHalfPi = 0x1.921fb54442d18p+0;
inline constexpr double kHalfPiLow = 0x1.1a62633145c07p-54;
inline constexpr double kHalfPiLowest = -0x1.f1976b7ed8fbcp-110;

/// Angles at least as large as this one, and NaN, are left to <cmath>: the three parts of pi/2 do not reach.
inline constexpr double kLargestAngle = 0x1p19;

/// x = quadrant pi/2 + r + lost with |r| <= pi/4; the quadrant modulo 2^64.
struct Angle {
  double r;
  double lost;
  std::uint64_t quadrant;
};
TAPEGRAD_INLINE Angle reduce_angle(double x) {
  const double shifted = rounded(x * 0x1.45f306dc9c883p-1 + Format<double>::kRound);
  const double n = rounded(shifted - Format<double>::kRound);
  const double near = fused(-n, kHalfPi, x);  // exact
  const Pair low = two_product(n, kHalfPiLow);
  const Pair sum = two_sum(near, -low.hi);
  const Pair angle = fast_two_sum(sum.hi, sum.lo - low.lo - n * kHalfPiLowest);
  return {angle.hi, angle.lo, bits(shifted) - bits(Format<double>::kRound)};
}
/// Of 24 bits, as precisely as a result of so many asks.
TAPEGRAD_INLINE Angle reduce_angle(float x) {
  const double wide = static_cast<double>(x);
  const double shifted = rounded(wide * 0x1.45f306dc9c883p-1 + Format<double>::kRound);
  const double n = rounded(shifted - Format<double>::kRound);
  return {fused(-n, kHalfPiLow, fused(-n, kHalfPi, wide)), 0, bits(shifted) - bits(Format<double>::kRound)};
}

/// sin(r + lost), as a pair.
TAPEGRAD_INLINE Pair sin_near_zero(double r, double lost) {
  const double z = r * r, cube = z * r;
  const double tail = polynomial(z, 0x1.5e0b05bff20f2p-33, -0x1.ae600aca92c64p-26, 0x1.71de379654304p-19,
                                 -0x1.a01a019e83816p-13, 0x1.1111111110bb2p-7);
  return fast_two_sum(r, lost - (z * (0.5 * lost - cube * tail) + cube * 0x1.5555555555555p-3));
}
/// cos(r + lost), as a pair.
TAPEGRAD_INLINE Pair cos_near_zero(double r, double lost) {
  const double z = r * r, half = 0.5 * z;
  const double tail = polynomial(z, -0x1.907d8f29fe831p-37, 0x1.1eeb68cd22f56p-29, -0x1.27e4fa17bf139p-22,
                                 0x1.a01a019f4e9b4p-16, -0x1.6c16c16c16967p-10, 0x1.5555555555555p-5);
  const double w = rounded(1 - half);
  return fast_two_sum(w, rounded(rounded(1 - w) - half) + (z * z * tail - r * lost));
}

/// sin(r) and cos(r) for |r| <= pi/4, to 2^-37 of them.
TAPEGRAD_INLINE double short_sin(double r) {
  const double z = r * r;
  return r + r * z *
                 polynomial(z, 0.0000027183114939898219064, -0.000198393348360966317347,
                            0.0083333293858894631756, -0.166666666416265235595);
}
TAPEGRAD_INLINE double short_cos(double r) {
  const double z = r * r;
  return polynomial(z, 0.0000243904487962774090654, -0.00138867637746099294692, 0.0416666233237390631894,
                    -0.499999997251031003120, 1.0);
}

/// y with the sign of the second half of a turn.
TAPEGRAD_INLINE double in_quadrant(double y, std::uint64_t quadrant) {
  return from_bits<double>(bits(y) ^ (quadrant << 62 & std::uint64_t{1} << 63));
}
template <class T>
TAPEGRAD_INLINE T sin_of_quadrant(const Angle& a, std::uint64_t quadrant) {
  const bool odd = (quadrant & 1) != 0;
  if constexpr (sizeof(T) < sizeof(double))
    return static_cast<T>(in_quadrant(choose(odd, short_cos(a.r), short_sin(a.r)), quadrant));
  else
    return in_quadrant(choose(odd, cos_near_zero(a.r, a.lost).hi, sin_near_zero(a.r, a.lost).hi), quadrant);
}
/// Where |x| is below, sin(x) and tan(x) round to x.
inline constexpr double kSmallAngle = 0x1p-27;

template <class T>
TAPEGRAD_INLINE T sin(T x) {
  const Angle a = reduce_angle(x);
  return choose(absolute(x) < T(kSmallAngle), x, sin_of_quadrant<T>(a, a.quadrant));
}
template <class T>
TAPEGRAD_INLINE T cos(T x) {
  const Angle a = reduce_angle(x);
  return sin_of_quadrant<T>(a, a.quadrant + 1);
}
TAPEGRAD_INLINE double tan(double x) {
  const Angle a = reduce_angle(x);
  const Pair s = sin_near_zero(a.r, a.lost), c = cos_near_zero(a.r, a.lost);
  const bool odd = (a.quadrant & 1) != 0;  // then it is -cos / sin
  const double n = choose(odd, -c.hi, s.hi), d = choose(odd, s.hi, c.hi);
  const double n_lo = choose(odd, -c.lo, s.lo), d_lo = choose(odd, s.lo, c.lo);
  const double inverse = 1 / d, y = n * inverse;
  return choose(absolute(x) < kSmallAngle, x, y + (fused(-y, d, n) + n_lo - y * d_lo) * inverse);
}
TAPEGRAD_INLINE float tan(float x) {
  const Angle a = reduce_angle(x);
  const double s = short_sin(a.r), c = short_cos(a.r);
  const bool odd = (a.quadrant & 1) != 0;
  return choose(absolute(x) < static_cast<float>(kSmallAngle), x,
                static_cast<float>(choose(odd, -c, s) / choose(odd, s, c)));
}

/// asin(s) - s over s^3, with z = s^2 in [0, 1/4]
TAPEGRAD_INLINE double asin_tail(double z) {
  return polynomial(z, 0x1.d72b2bc8155f8p-6, -0x1.e6aaa8a0a04ccp-7, 0x1.1d189408314eep-6,
                    0x1.65a9c4dfcf8b2p-8, 0x1.52420b04b37bep-7, 0x1.782651caa6547p-7, 0x1.c9cf07674736ap-7,
                    0x1.1c4d35cf95421p-6, 0x1.6e8bb1c8209a2p-6, 0x1.f1c71c1db0623p-6, 0x1.6db6db6e31f13p-5,
                    0x1.3333333332ecap-4, 0x1.5555555555556p-3);
}
/// asin(s) as s + correction, of s = |x|, or of s = sqrt((1 - |x|) / 2) where |x| > 1/2; then acos(|x|) is twice that.
struct ArcSine {
  double s;
  double correction;
  bool large;
};
TAPEGRAD_INLINE ArcSine arc_sine(double x) {
  const double a = absolute(x);
  const bool large = a > 0.5;
  const double half = 0.5 * (1 - a);
  const double root = sqrt(half);
  const Pair square = two_product(root, root);
  const double lost = choose(root > 0, rounded(rounded(half - square.hi) - square.lo) / (2 * root), 0.0);
  const double s = choose(large, root, a), z = choose(large, half, a * a);
  return {s, choose(large, lost, 0.0) + s * z * asin_tail(z), large};
}
TAPEGRAD_INLINE double asin(double x) {
  const ArcSine p = arc_sine(x);
  const double y = choose(p.large, kHalfPi - rounded(2 * p.s - rounded(kHalfPiLow - 2 * p.correction)),
                          p.s + p.correction);
  return choose(absolute(x) < 0x1p-27, x, with_sign_of(y, x));
}
TAPEGRAD_INLINE double acos(double x) {
  const ArcSine p = arc_sine(x);
  const double near_one = 2 * (p.s + p.correction);
  const double near_minus_one = 2 * (kHalfPi - rounded(p.s - rounded(kHalfPiLow - p.correction)));
  const double correction = with_sign_of(p.correction, x);
  const double middle = kHalfPi - rounded(x - rounded(kHalfPiLow - correction));
  return choose(p.large, choose(x > 0, near_one, near_minus_one), middle);
}

TAPEGRAD_INLINE double atan(double x) {
  const double a = absolute(x);
  const bool far = a > 2.4142135623730950488, near = a <= 0.66;
  const double n = choose(far, -1.0, choose(near, a, rounded(a - 1)));
  const double d = choose(far, a, choose(near, 1.0, rounded(a + 1)));
  const double t = n / d, z = t * t;
  const double tail =
      polynomial(z, -0x1.248d20ae7d574p-9, 0x1.3e152718244cfp-7, -0x1.5bf9c6c21fdd5p-6, 0x1.09b8f441bef69p-5,
                 -0x1.4e15a0944be5dp-5, 0x1.80401618119aap-5, -0x1.ae04568d3c0e1p-5, 0x1.e1b852854077ap-5,
                 -0x1.110ef49c982dap-4, 0x1.3b138b4ad4bf7p-4, -0x1.745d1586379cp-4, 0x1.c71c71baa11acp-4,
                 -0x1.249249247adbep-3, 0x1.999999999976cp-3, -0x1.5555555555555p-2);
  const double base = choose(far, kHalfPi, choose(near, 0.0, 0.5 * kHalfPi));
  const double base_lo = choose(far, kHalfPiLow, choose(near, 0.0, 0.5 * kHalfPiLow));
  const double y = base + rounded(t + rounded(base_lo + t * z * tail));
  return with_sign_of(y, x);
}

#define TAPEGRAD_ROW(function) \
  TAPEGRAD_INLINE float function(float x) { return static_cast<float>(function(static_cast<double>(x))); }
TAPEGRAD_ROW(asin)
TAPEGRAD_ROW(acos)
TAPEGRAD_ROW(atan)
#undef TAPEGRAD_ROW

}  // namespace tapegrad::detail::vm
