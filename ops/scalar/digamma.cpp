#include <cmath>
#include <limits>
#include <numbers>

#include <tapegrad/ops/scalar/real.h>

namespace tapegrad::detail {

// psi(x) = psi(x + 1) - 1 / x up to where the asymptotic series (Abramowitz and Stegun 6.3.18) has all digits of a
// double; on the left, psi(1 - x) = psi(x) + pi / tan(pi x) (6.3.7).
double digamma(double x) {
  if (x == 0) return std::copysign(std::numeric_limits<double>::infinity(), -x);
  if (x < 0) {
    const double whole = std::round(x);
    if (x == whole) return std::numeric_limits<double>::quiet_NaN();  // a pole
    return digamma(1 - x) - std::numbers::pi / std::tan(std::numbers::pi * (x - whole));
  }
  double sum = 0;
  for (; x < 10; x += 1) sum -= 1 / x;
  const double y = 1 / (x * x);
  const double series =
      y *
      (1.0 / 12 -
       y * (1.0 / 120 - y * (1.0 / 252 - y * (1.0 / 240 - y * (1.0 / 132 - y * (691.0 / 32760 - y / 12))))));
  return sum + std::log(x) - 0.5 / x - series;
}

// psi'(x) = psi'(x + 1) + 1 / x^2 up to where the asymptotic series (6.4.12) has all digits; on the left,
// psi'(1 - x) + psi'(x) = (pi / sin(pi x))^2 (6.4.7).
double trigamma(double x) {
  if (x <= 0) {
    const double whole = std::round(x);
    if (x == whole) return std::numeric_limits<double>::infinity();  // a pole
    const double r = std::numbers::pi / std::sin(std::numbers::pi * (x - whole));
    return r * r - trigamma(1 - x);
  }
  double sum = 0;
  for (; x < 12; x += 1) sum += 1 / (x * x);
  const double y = 1 / (x * x);
  const double series =
      y *
      (1.0 / 6 - y * (1.0 / 30 -
                      y * (1.0 / 42 - y * (1.0 / 30 - y * (5.0 / 66 - y * (691.0 / 2730 - y * (7.0 / 6)))))));
  return sum + 1 / x + 0.5 * y + series / x;
}

}  // namespace tapegrad::detail
