#pragma once

#include <array>
#include <cstddef>

#ifndef __x86_64__
#include <cmath>
#endif

/// Numbers of four times the width of a float for reference values, and their Taylor series.
namespace reference {

#ifdef __x86_64__
__extension__ using Quad = __float128;
// Of GCC's libquadmath, whose header lies where other compilers do not look.
#define TAPEGRAD_QUAD_FUNCTION(name) \
  extern "C" Quad name##q(Quad);     \
  inline Quad name(Quad x) { return name##q(x); }
TAPEGRAD_QUAD_FUNCTION(exp)
TAPEGRAD_QUAD_FUNCTION(expm1)
TAPEGRAD_QUAD_FUNCTION(log)
TAPEGRAD_QUAD_FUNCTION(log1p)
TAPEGRAD_QUAD_FUNCTION(sqrt)
TAPEGRAD_QUAD_FUNCTION(cbrt)
TAPEGRAD_QUAD_FUNCTION(sin)
TAPEGRAD_QUAD_FUNCTION(cos)
TAPEGRAD_QUAD_FUNCTION(asin)
TAPEGRAD_QUAD_FUNCTION(acos)
TAPEGRAD_QUAD_FUNCTION(atan)
TAPEGRAD_QUAD_FUNCTION(sinh)
TAPEGRAD_QUAD_FUNCTION(cosh)
TAPEGRAD_QUAD_FUNCTION(tanh)
TAPEGRAD_QUAD_FUNCTION(erf)
TAPEGRAD_QUAD_FUNCTION(erfc)
#undef TAPEGRAD_QUAD_FUNCTION
extern "C" Quad powq(Quad, Quad);
inline Quad pow(Quad x, Quad y) { return powq(x, y); }
inline Quad abs(Quad x) { return x < 0 ? -x : x; }
#else
using Quad = long double;  // of 113 bits on other 64-bit processors
using std::abs, std::acos, std::asin, std::atan, std::cbrt, std::cos, std::cosh, std::erf, std::erfc,
    std::exp, std::expm1, std::log, std::log1p, std::pow, std::sin, std::sinh, std::sqrt, std::tanh;
#endif

/// f(x + t) = c[0] + c[1] t + ... up to the fourth power of t.
struct Jet {
  static constexpr std::size_t kTerms = 5;
  std::array<Quad, kTerms> c{};

  Jet(double constant) { c[0] = constant; }
  Jet(Quad constant) { c[0] = constant; }
  /// The series of x itself.
  static Jet variable(Quad x) {
    Jet j(x);
    j.c[1] = 1;
    return j;
  }

  friend Jet operator+(Jet a, const Jet& b) {
    for (std::size_t k = 0; k < kTerms; ++k) a.c[k] += b.c[k];
    return a;
  }
  friend Jet operator-(Jet a) {
    for (Quad& v : a.c) v = -v;
    return a;
  }
  friend Jet operator-(const Jet& a, const Jet& b) { return a + -b; }
  friend Jet operator*(const Jet& a, const Jet& b) {
    Jet y(0.0);
    for (std::size_t k = 0; k < kTerms; ++k)
      for (std::size_t i = 0; i <= k; ++i) y.c[k] += a.c[i] * b.c[k - i];
    return y;
  }
  friend Jet operator/(const Jet& a, const Jet& b) {
    Jet y(0.0);
    for (std::size_t k = 0; k < kTerms; ++k) {
      y.c[k] = a.c[k];
      for (std::size_t i = 0; i < k; ++i) y.c[k] -= y.c[i] * b.c[k - i];
      y.c[k] /= b.c[0];
    }
    return y;
  }
};

inline Quad index(std::size_t k) { return static_cast<double>(k); }

/// The series of a function of which the value at x[0] and the series of its derivative along x are known: c[k] of
/// the integral of slope dx.
inline Jet integral(Quad value, const Jet& slope, const Jet& x) {
  Jet y(value);
  for (std::size_t k = 1; k < Jet::kTerms; ++k) {
    for (std::size_t i = 1; i <= k; ++i)
      if (x.c[i] != 0) y.c[k] += index(i) * x.c[i] * slope.c[k - i];
    y.c[k] /= index(k);
  }
  return y;
}

inline Jet exp(const Jet& x) {
  Jet y(exp(x.c[0]));
  for (std::size_t k = 1; k < Jet::kTerms; ++k) {
    for (std::size_t i = 1; i <= k; ++i)
      if (x.c[i] != 0) y.c[k] += index(i) * x.c[i] * y.c[k - i];  // infinity times 0 is no part of it
    y.c[k] /= index(k);
  }
  return y;
}
/// x^p
inline Jet pow(const Jet& x, Quad p) {
  Jet y(pow(x.c[0], p));
  for (std::size_t k = 1; k < Jet::kTerms; ++k) {
    for (std::size_t i = 1; i <= k; ++i) y.c[k] += (p * index(i) - index(k - i)) * x.c[i] * y.c[k - i];
    y.c[k] /= index(k) * x.c[0];
  }
  return y;
}
inline Jet sqrt(const Jet& x) {
  Jet y(sqrt(x.c[0]));
  for (std::size_t k = 1; k < Jet::kTerms; ++k) {
    y.c[k] = x.c[k];
    for (std::size_t i = 1; i < k; ++i) y.c[k] -= y.c[i] * y.c[k - i];
    y.c[k] /= 2 * y.c[0];
  }
  return y;
}
/// sin and cos of a series in which the variable stands alone.
inline Jet sin(const Jet& x) {
  const Quad s = sin(x.c[0]);
  const Quad c = cos(x.c[0]);
  Jet y(s);
  y.c = {s, c, -s / 2, -c / 6, s / 24};
  return y;
}
inline Jet cos(const Jet& x) {
  const Quad s = sin(x.c[0]);
  const Quad c = cos(x.c[0]);
  Jet y(c);
  y.c = {c, -s, -c / 2, s / 6, c / 24};
  return y;
}

}  // namespace reference
