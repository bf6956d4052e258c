#include <vector>

#include <tapegrad/gradcheck/check/scalar_functions.h>
#include <tapegrad/ops/scalar/scalar_function.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// What stands for all functions of scalars where the checker walks the library's operations: each function of Reals,
/// for each pair of a and b, which lie between 0 and 1.
struct EveryFunction {
  template <class R>
  std::vector<R> operator()(std::span<const R> as, std::span<const R> bs) const {
    std::vector<R> all;
    const auto add = [&](const auto&... y) { (all.push_back(y), ...); };
    for (std::size_t i = 0; i < as.size(); ++i) {
      const R &a = as[i], &b = bs[i];
      add(a + b, a - b, a * b, a / b, -a, +a, a + 0.5, 0.5 - a, 3 * a, 2 / a, a / 2, fma(a, b, a), square(a));
      add(pow(a, b), pow(a, 3), pow(3, a), atan2(a, b), atan2(a, 0.5), hypot(a, b), hypot(2, a));
      add(max(a, b), min(a, b), fmax(a, b), fmin(a, b), copysign(a, -b), abs(a - 0.5), fabs(a - 0.5));
      add(fmod(a + 2.7, 1.3), fmod(2.9, a + 1.5));
      add(sqrt(a), cbrt(a), exp(a), exp2(a), expm1(a), log(a), log2(a), log10(a), log1p(a));
      add(sin(a), cos(a), tan(a), asin(a), acos(a), atan(a), atan(a + 1));
      add(sinh(a), cosh(a), tanh(a), asinh(a), asinh(-a), acosh(1 + a), atanh(a), erf(a), erfc(a));
      R y = 1;  // a statement of a loop, and both sides of branches
      for (int k = 0; k < 3; ++k) y *= a > b ? R(a + k) : R(b - k);
      y += floor(a) + value(1.5);
      y -= a;
      y /= b;
      all.push_back(y);
    }
    return all;
  }
};

struct ScalarFunctions : tapegrad::detail::ScalarFunctionOp<EveryFunction, 2> {
  static void samples(Samples& s) {
    // No ties, and none of the points where a function has a kink.
    const Domain inner{0.05, 0.45}, outer{0.55, 0.95};
    s.add(ScalarFunctions{}, {{{2}, inner}, {{2}, outer}});
    s.add(ScalarFunctions{}, {{{1}, outer}, {{1}, inner}});
    s.add(ScalarFunctions{}, {{{2, 2}, outer}, {{4}, inner}});
    s.add(ScalarFunctions{}, {{{0}, outer}, {{0}, inner}});
  }
};

/// The gradient as an operation, of a function with few terms: of the others, derivatives of ScalarFunctions say the
/// same.
struct Products {
  template <class R>
  std::vector<R> operator()(std::span<const R> as, std::span<const R> bs) const {
    std::vector<R> all;
    for (std::size_t i = 0; i < as.size(); ++i) all.insert(all.end(), {as[i] * bs[i], as[i]});
    return all;
  }
};
struct ScalarFunctionGradients : tapegrad::detail::ScalarGradientOp<Products, 2> {
  static void samples(Samples& s) {
    s.add(ScalarFunctionGradients{Products{}, {2, 2}}, {{Shape{4}}, {Shape{4}}});
    s.add(ScalarFunctionGradients{Products{}, {2, 2}}, {{{2, 2}}, {{2, 2}}});
    s.add(ScalarFunctionGradients{Products{}, {0, 0}}, {{Shape{0}}, {Shape{0}}});
  }
};

}  // namespace

void add_scalar_functions(Catalog& catalog) {
  catalog.add_ops(TypeList<ScalarFunctions, ScalarFunctionGradients>{});
}

}  // namespace tapegrad::gradcheck::detail
