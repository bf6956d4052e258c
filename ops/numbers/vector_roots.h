#pragma once

#include <tapegrad/ops/numbers/vector_pairs.h>

/// The cube root, the logarithm to base 10 and the hyperbolic functions, for loops over vectors: within 2 ulp in
/// double; of floats they are computed in double and rounded.
///
/// Source: fdlibm (Sun Microsystems, 1993) for the forms of log10 and cbrt.
namespace tapegrad::detail::vm {

TAPEGRAD_INLINE double log10(double x) {
  // 1 / ln(10) and log10(2), as pairs whose first is short.
  constexpr Pair kInverse{0x1.bcb7bp-2, 0x1.526e50e32a6abp-26}, kOfTwo{0x1.34413p-2, 0x1.427de7fbcc47cp-24};
  const bool subnormal = x < std::numeric_limits<double>::min();
  const Split<double> a = split(choose(subnormal, x * 0x1p52, x));
  const double n = a.n - choose(subnormal, 52.0, 0.0);
  const double half_square = 0.5 * a.f * a.f;
  const double s = a.f / (2 + a.f), z = s * s;
  const double high = without_low_bits<32>(a.f - half_square);
  const double low = rounded(rounded(a.f - high) - half_square) + s * (half_square + z * log_tail(z));
  const Pair sum = two_sum(n * kOfTwo.hi, high * kInverse.hi);
  return log_of_special(
      x, sum.hi + (sum.lo + (n * kOfTwo.lo + ((low + high) * kInverse.lo + low * kInverse.hi))));
}

/// e^|x| / 2, which is in range where sinh and cosh are.
TAPEGRAD_INLINE double half_of_exp(double x) {
  Reduced<double> a = reduce_by_ln2(limited(absolute(x), 0.0, 711.0));
  a.integer -= 1;
  return exp_of(a);
}
TAPEGRAD_INLINE double cosh(double x) {
  const double h = half_of_exp(x);
  return h + 0.25 / h;
}
TAPEGRAD_INLINE double sinh(double x) {
  const double h = half_of_exp(x), a = absolute(x), z = a * a;
  const double small = a + a * z *
                               polynomial(z, 0x1.99f0806c2628dp-49, 0x1.ae777c36fd5b6p-41,
                                          0x1.612467ccb226p-33, 0x1.ae6456792a77fp-26, 0x1.71de3a556f96cp-19,
                                          0x1.a01a01a01a001p-13, 0x1.1111111111111p-7, 0x1.5555555555555p-3);
  return with_sign_of(choose(a < 1, small, h - 0.25 / h), x);
}

TAPEGRAD_INLINE double cbrt(double x) {
  const double a = absolute(x);
  const bool subnormal = a < std::numeric_limits<double>::min();
  const double v = choose(subnormal, a * 0x1p54, a);
  // A third of the exponent, on the upper half of the bits, which is an integer in the mantissa of 2^52.
  const double upper = from_bits<double>((bits(v) >> 32) | bits(0x1p52)) - 0x1p52;
  const double third = rounded(rounded(upper * (1.0 / 3)) + (0x1p52 + 715094163));
  double t = from_bits<double>(bits(third) << 32);
  const double r = (t * t) * (t / v);
  t *= (1.87595182427177009643 + r * (-1.88497979543377169875 + r * 1.621429720105354466140)) +
       (r * r) * r * (-0.758397934778766047437 + r * 0.145996192886612446982);
  t = from_bits<double>((bits(t) + 0x80000000) & 0xffffffffc0000000);  // its square is exact
  const double q = v / (t * t);
  t += t * ((q - t) / (2 * t + q));
  const double y = choose(subnormal, t * 0x1p-18, t);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return choose((a > 0) & (a < kInfinity), with_sign_of(y, x), x + x);
}

#define TAPEGRAD_ROW(function) \
  TAPEGRAD_INLINE float function(float x) { return static_cast<float>(function(static_cast<double>(x))); }
TAPEGRAD_ROW(log10)
TAPEGRAD_ROW(sinh)
TAPEGRAD_ROW(cosh)
TAPEGRAD_ROW(cbrt)
#undef TAPEGRAD_ROW

}  // namespace tapegrad::detail::vm
