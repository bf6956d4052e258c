#pragma once

#include <tapegrad/ops/numbers/vector_pairs.h>

/// The error function and its complement for loops over vectors: within 2 ulp in double; of floats they are computed in
/// double and rounded.
///
/// Source: M. Shepherd, J. Laframboise, Chebyshev Approximation of (1 + 2 x) exp(x^2) erfc(x), Math. Comp. 36, 1981.
namespace tapegrad::detail::vm {

/// erf(x) for |x| < 1/2
TAPEGRAD_INLINE double erf_near_zero(double x) {
  const double z = x * x;
  return x + x * polynomial(z, 0x1.8b4b60851826bp-20, -0x1.f224dfc5409afp-17, 0x1.f98db34e8872ep-14,
                            -0x1.c02d4f6e4921ap-11, 0x1.565bcbf8e0365p-8, -0x1.b82ce30f2b28fp-6,
                            0x1.ce2f21a03d814p-4, -0x1.812746b0379b5p-2, 0x1.06eba8214db68p-3);
}
/// (1 + 2 x) e^(x^2) erfc(x) for x >= 1/2, with what rounding takes from the last sum. Even and odd powers apart: the
/// processor computes both at once.
TAPEGRAD_INLINE Pair scaled_erfc(double x) {
  const double t = (x - 4) / (x + 4), z = t * t;
  const double even =
      polynomial(z, -0x1.44bf964455771p-27, 0x1.fe3ef30d68c03p-25, 0x1.4b2ffceee11a7p-22,
                 -0x1.78d4ca754cacdp-17, 0x1.3be206116849bp-13, -0x1.8d4ab390e1f4cp-11, -0x1.09623868b93a8p-6,
                 -0x1.0fb06dfed9baap-4, -0x1.9ddb23c3e3366p-4, 0x1.f7f5df66fcc0dp-7);
  const double odd =
      polynomial(z, 0x1.3d61c8bb98f8p-24, -0x1.a36425cc635a6p-21, 0x1.7d12ef8920af3p-18,
                 -0x1.991eb931a4b2ap-16, -0x1.a1e1311bc1e5dp-13, 0x1.49c67568acbc5p-8, 0x1.3079edecaf07p-5,
                 0x1.7fee004e5c34dp-4, 0x1.16ecefcfa33a5p-4, -0x1.1df1ad154a26ep-3);
  const Pair sum = fast_two_sum(0x1.3ba5916e9fd7fp+0, t * (odd + t * even));
  return {sum.hi, sum.lo - 0x1.aa9c415679e6fp-55};
}
/// erfc(x + lost) for x >= 1/2, where `lost` is what rounding took from x.
TAPEGRAD_INLINE double erfc_of_large(double a, double lost) {
  const double x = limited(a, 0.5, 28.0);
  const Pair scaled = scaled_erfc(x);
  // Over 1 + 2 x, and what rounding took from the divisor and the quotient.
  const double d = rounded(1 + 2 * x), d_lost = 1 - rounded(d - 2 * x);
  const double inverse = 1 / d, q = scaled.hi * inverse;
  const double q_lost = (fused(-q, d, scaled.hi) + (scaled.lo - q * d_lost)) * inverse;
  const Pair square = two_product(x, x);
  const Reduced<double> e = reduce_by_ln2(-square.hi);
  const Pair r = two_sum(e.r, e.lost - square.lo - 2 * x * lost);
  const double sum = rounded(1 + r.hi);
  const double tail = r.hi - rounded(sum - 1) + (r.lo + r.hi * r.hi * exp_tail(r.hi));
  const Pair product = two_product(q, sum);
  return times_power_of_two(product.hi + (product.lo + (q_lost * sum + q * tail)), e.integer);
}
/// The same to 2^-45 of it, and 0 below the range of float.
TAPEGRAD_INLINE double short_erfc_of_large(double a) {
  const double x = limited(a, 0.5, 11.0);
  return exp_of_negative(-x * x) * (scaled_erfc(x).hi / (1 + 2 * x));
}

/// erf(x) and erfc(x) of what erfc of large numbers is for |x|.
TAPEGRAD_INLINE double erf_of(double x, double large) {
  return choose(absolute(x) < 0.5, erf_near_zero(x), with_sign_of(1 - large, x));
}
TAPEGRAD_INLINE double erfc_of(double x, double lost, double large) {
  return choose(absolute(x) < 0.5, 1 - (erf_near_zero(x) + lost), choose(x < 0, 2 - large, large));
}

TAPEGRAD_INLINE double erf(double x) { return erf_of(x, erfc_of_large(absolute(x), 0.0)); }
TAPEGRAD_INLINE double erfc(double x, double lost) {
  return erfc_of(x, lost, erfc_of_large(absolute(x), with_sign_of(1.0, x) * lost));
}
TAPEGRAD_INLINE double erfc(double x) { return erfc(x, 0.0); }
TAPEGRAD_INLINE double short_erfc(double x) { return erfc_of(x, 0.0, short_erfc_of_large(absolute(x))); }
TAPEGRAD_INLINE float erf(float x) {
  const double wide = static_cast<double>(x);
  return static_cast<float>(erf_of(wide, short_erfc_of_large(absolute(wide))));
}
TAPEGRAD_INLINE float erfc(float x) { return static_cast<float>(short_erfc(static_cast<double>(x))); }

/// (1 + erf(x / sqrt(2))) / 2, with all digits in the left tail: there the rounding of x / sqrt(2) would be
/// magnified, so that float computes in double, and double adds what the product has lost.
TAPEGRAD_INLINE double normal_cdf(double x) {
  constexpr double kHigh = 0x1.6a09e667f3bcdp-1;  // 1 / sqrt(2)
  constexpr double kLow = -0x1.bdd3413b26456p-55;
  const double y = limited(x, -40.0, 40.0), z = rounded(y * -kHigh);
  return 0.5 * erfc(z, fused(y, -kHigh, -z) - y * kLow);
}
TAPEGRAD_INLINE float normal_cdf(float x) {
  return static_cast<float>(0.5 * short_erfc(static_cast<double>(x) * -0x1.6a09e667f3bcdp-1));
}

}  // namespace tapegrad::detail::vm
