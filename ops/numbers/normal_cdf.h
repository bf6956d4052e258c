#pragma once

#include <cmath>

#include <tapegrad/graph/export.h>

namespace tapegrad::detail {

/// (1 + erf(x / sqrt(2))) / 2 by <cmath>, with all digits in the left tail: there the rounding of x / sqrt(2) would be
/// magnified, so that float computes in double, and double adds what the product has lost.
template <class T>
T cmath_normal_cdf(T x) {
  constexpr double kHigh = 0x1.6a09e667f3bcdp-1;  // 1 / sqrt(2)
  constexpr double kLow = -0x1.bdd3413b26456p-55;
  const double wide = static_cast<double>(x);
  const double z = wide * -kHigh;
  if constexpr (sizeof(T) < sizeof(double)) {
    return static_cast<T>(0.5 * std::erfc(z));
  } else {
    const double lost = std::fma(wide, -kHigh, -z) - wide * kLow;
    const double slope = 1.1283791670955126 * std::exp(-z * z);  // of -erfc; 0 where `lost` is no number
    return 0.5 * (std::erfc(z) - (slope > 0 ? slope * lost : 0));
  }
}

}  // namespace tapegrad::detail
