#include <tapegrad/ops/scalar/tensor_number.h>

#include <cmath>

#include <fmt/format.h>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/scalar/real.h>

namespace tapegrad::detail {

namespace {

template <class F>
TensorNumber unary(const TensorNumber& x, const F& f) {
  return x.is_constant() ? TensorNumber(f(x.value())) : TensorNumber(f(x.tensor()));
}
template <class F>
TensorNumber binary(const TensorNumber& a, const TensorNumber& b, const F& f) {
  if (a.is_constant() && b.is_constant()) return f(a.value(), b.value());
  if (a.is_constant()) return TensorNumber(f(a.value(), b.tensor()));
  if (b.is_constant()) return TensorNumber(f(a.tensor(), b.value()));
  return TensorNumber(f(a.tensor(), b.tensor()));
}

template <class F>
TensorNumber number_alone(const TensorNumber& x, const char* name, const F& f) {
  if (x.is_constant()) return f(x.value());
  throw NotDifferentiable(
      fmt::format("scalar_function: {} has derivatives of the first and second order alone", name));
}

}  // namespace

#define TAPEGRAD_ROW(op)                                                      \
  TensorNumber operator op(const TensorNumber& a, const TensorNumber& b) {    \
    return binary(a, b, [](const auto& x, const auto& y) { return x op y; }); \
  }
TAPEGRAD_ROW(+)
TAPEGRAD_ROW(-)
TAPEGRAD_ROW(*)
TAPEGRAD_ROW(/)
#undef TAPEGRAD_ROW
#define TAPEGRAD_ROW(name)                                          \
  TensorNumber name(const TensorNumber& a, const TensorNumber& b) { \
    return binary(a, b, [](const auto& x, const auto& y) {          \
      using std::name;                                              \
      return name(x, y);                                            \
    });                                                             \
  }
TAPEGRAD_ROW(hypot)
TAPEGRAD_ROW(atan2)
TAPEGRAD_ROW(fmod)
#undef TAPEGRAD_ROW

TensorNumber pow(const TensorNumber& a, const TensorNumber& b) {
  if (a.is_constant() && b.is_constant()) return std::pow(a.value(), b.value());
  if (b.is_constant()) return TensorNumber(tapegrad::pow(a.tensor(), b.value()));
  return TensorNumber(tapegrad::pow(a.tensor(), b.tensor()));
}

TensorNumber operator-(const TensorNumber& x) {
  return unary(x, [](const auto& v) { return -v; });
}
#define TAPEGRAD_ROW(name)                   \
  TensorNumber name(const TensorNumber& x) { \
    return unary(x, [](const auto& v) {      \
      using std::name;                       \
      return name(v);                        \
    });                                      \
  }
TAPEGRAD_ROW(abs)
TAPEGRAD_ROW(sqrt)
TAPEGRAD_ROW(cbrt)
TAPEGRAD_ROW(exp)
TAPEGRAD_ROW(exp2)
TAPEGRAD_ROW(expm1)
TAPEGRAD_ROW(log)
TAPEGRAD_ROW(log2)
TAPEGRAD_ROW(log10)
TAPEGRAD_ROW(log1p)
TAPEGRAD_ROW(sin)
TAPEGRAD_ROW(cos)
TAPEGRAD_ROW(tan)
TAPEGRAD_ROW(asin)
TAPEGRAD_ROW(acos)
TAPEGRAD_ROW(atan)
TAPEGRAD_ROW(sinh)
TAPEGRAD_ROW(cosh)
TAPEGRAD_ROW(tanh)
TAPEGRAD_ROW(erf)
TAPEGRAD_ROW(erfc)
#undef TAPEGRAD_ROW

// Tensors have none of these. Signs are taken out, where a sum would cancel.
TensorNumber asinh(const TensorNumber& x) {
  if (x.is_constant()) return std::asinh(x.value());
  if (x.value() < 0) return -asinh(-x);
  return log1p(x + x * x / (1 + hypot(1, x)));
}
TensorNumber acosh(const TensorNumber& x) {
  if (x.is_constant()) return std::acosh(x.value());
  return log1p(x - 1 + sqrt((x - 1) * (x + 1)));
}
TensorNumber atanh(const TensorNumber& x) {
  if (x.is_constant()) return std::atanh(x.value());
  return 0.5 * (log1p(x) - log1p(-x));
}

// Nor of these.
TensorNumber lgamma(const TensorNumber& x) {
  return number_alone(x, "lgamma", [](double v) { return std::lgamma(v); });
}
TensorNumber tgamma(const TensorNumber& x) {
  return number_alone(x, "tgamma", [](double v) { return std::tgamma(v); });
}
TensorNumber digamma(const TensorNumber& x) {
  return number_alone(x, "lgamma", [](double v) { return digamma(v); });
}
TensorNumber trigamma(const TensorNumber& x) {
  return number_alone(x, "lgamma", [](double v) { return trigamma(v); });
}

}  // namespace tapegrad::detail
