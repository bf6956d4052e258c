#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <fmt/format.h>

#include <tapegrad/graph/format.h>

#include "both_rules.h"
#include "derivatives_support.h"
#include "op_support.h"

namespace prod_op_test {

using namespace tapegrad;
using namespace tapegrad::test;

// Products whose partial products leave the range of the dtype, against long double, whose exponents reach as far as
// those of sixteen doubles.
namespace {

using Real = long double;

Tensor doubles(const std::vector<double>& v) { return Tensor::from(v); }

struct Limits {
  Real smallest, largest;
  double rounding;

  explicit Limits(Dtype dtype)
      : smallest(dtype == f32 ? 1.2e-38L : 2.3e-308L),
        largest(dtype == f32 ? 3.4e38L : 1.79e308L),
        rounding(dtype == f32 ? 1.2e-7 : 2.3e-16) {}
  bool holds(Real v) const { return std::abs(v) >= smallest && std::abs(v) <= largest; }
};

/// The product of all elements but those at i and j, times g.
Real product_without(const std::vector<double>& x, Real g, std::size_t i, std::size_t j) {
  for (std::size_t k = 0; k < x.size(); ++k)
    if (k != i && k != j) g *= static_cast<Real>(x[k]);
  return g;
}

/// How many comparisons were made: of what the dtype holds with all its digits.
class Comparison {
 public:
  explicit Comparison(Dtype dtype) : limits_(dtype) {}

  void of(const char* what, double have, Real expected, std::size_t factors) {
    if (!limits_.holds(expected)) return;
    ++compared;
    const Real error = std::abs(static_cast<Real>(have) / expected - 1);
    BOOST_TEST(error <= static_cast<Real>(factors + 1) * limits_.rounding,
               what << " " << have << ", not " << static_cast<double>(expected));
  }
  /// Value, gradient by both rules and Hessian of g prod(x).
  void at(const Tensor& x, double g) {
    const std::vector<double> v = numbers(x);
    const std::size_t n = v.size();
    const std::size_t none = n;
    Tape tape;
    const Tensor leaf = tape.watch(x);
    const Tensor y = prod(leaf);
    of("value", y.item(), product_without(v, 1, none, none), n);
    const Tensor cotangent = Tensor::scalar(g, x.dtype());
    const std::vector<double> fused = numbers(tape.grad(y, leaf, {.cotangent = cotangent}));
    const Tensor gradient = tape.grad(y, leaf, {.cotangent = cotangent, .record = Record::yes});
    const std::vector<double> recorded = numbers(gradient);
    for (std::size_t i = 0; i < n; ++i) {
      const Real expected = product_without(v, g, i, none);
      of("gradient", fused[i], expected, n);
      of("recorded gradient", recorded[i], expected, n);
      // On the way to a second derivative the first is multiplied by up to 8.
      if (!limits_.holds(expected) || !limits_.holds(expected * 16)) continue;
      std::vector<double> unit(n);
      unit[i] = 1;
      const std::vector<double> row =
          numbers(tape.grad(gradient, leaf, {.cotangent = cast(Tensor::from(unit), x.dtype())}));
      for (std::size_t j = 0; j < n; ++j)
        if (j != i) of("second derivative", row[j], product_without(v, g, i, j), n);
    }
  }

  int compared = 0;

 private:
  Limits limits_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(prod_op)

BOOST_AUTO_TEST_CASE(partial_products_out_of_range) {
  const std::vector<std::vector<double>> cases{{1e-200, 1e-200, 1e200, 1e200},
                                               {1e200, -1e200, 1e-200, 1e-200},
                                               {1e-200, 1e200, 1e-200, 1e200},
                                               {1e-200, 1e-120, 1e200},  // a subnormal product in between
                                               {5e-324, 3e300, 5e-324, 3e300, 7},
                                               {1e-200, 1e-200, 1e-200},
                                               {1e-300, 1e-300, 1e-300, 1e300, 1e300, 1e300, 2}};
  Comparison f64s(f64), f32s(f32);
  for (std::vector<double> x : cases) {
    for (const double g : {1., -1e-180, 3e150}) f64s.at(doubles(x), g);
    for (double& v : x) v = std::copysign(std::pow(std::abs(v), 0.12), v);
    for (const double g : {1., -1e-20, 3e18}) f32s.at(cast(doubles(x), f32), g);
  }
  BOOST_TEST(f64s.compared > 200);
  BOOST_TEST(f32s.compared > 200);
}

BOOST_AUTO_TEST_CASE(factors_of_any_size) {
  for (const Dtype dtype : {f64, f32}) {
    std::mt19937_64 rng(7);
    Comparison c(dtype);
    for (int trial = 0; trial < 400; ++trial) {
      const int n = 2 + trial % 11;
      const double widest = dtype == f64 ? 1070 : 146;
      std::vector<double> x;
      double exponent = 0;  // of the product, that is brought near 1 as far as one factor can
      for (int i = 0; i < n; ++i) {
        const double all = std::uniform_real_distribution<>(-1, 1)(rng) * widest;
        const double e = i % 2 ? std::clamp(-exponent, -widest, widest * 0.95) : all * 0.95;
        exponent += e;
        x.push_back(std::exp2(e) * (trial % 3 ? 1.3 : -0.7));
      }
      std::shuffle(x.begin(), x.end(), rng);
      c.at(cast(doubles(x), dtype), trial % 2 ? 1 : std::exp2(trial % 100 - 50));
    }
    BOOST_TEST(c.compared > 10'000);
  }
}

BOOST_AUTO_TEST_CASE(thousands_of_factors) {
  std::mt19937_64 rng(3);
  for (const int n : {1500, 5000, 40'000}) {
    std::vector<double> x;
    Real product = 1;
    for (int i = 0; i < n; ++i) {  // every other one is large, so that what lanes hold leaves the range
      x.push_back(std::uniform_real_distribution<>(0.9, 1.1)(rng) * (i % 2 ? 8 : 0.125));
      product *= x.back();
    }
    const Tensor values = doubles(x);
    with_both_rules([&] {
      BOOST_TEST(std::abs(prod(values).item() / static_cast<double>(product) - 1) < n * 2.3e-16);
      const std::vector<double> gradient =
          numbers(derivative([](const Tensor& t) { return prod(t); }, values));
      double worst = 0;
      for (std::size_t i = 0; i < x.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(gradient[i] * x[i] / product) - 1));
      BOOST_TEST(worst < n * 4e-16);
    });
  }
}

BOOST_AUTO_TEST_CASE(zeros_and_infinities_among_them) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto value = [](std::vector<double> x) { return prod(doubles(x)).item(); };
  BOOST_TEST(value({1e-200, 1e-200, kInf}) == kInf);
  BOOST_TEST(value({1e-200, -1e-200, kInf}) == -kInf);
  BOOST_TEST(value({1e200, 1e200, 0}) == 0);
  BOOST_TEST(std::signbit(value({1e200, -1e200, 0})));
  BOOST_TEST(std::isnan(value({kInf, 1e200, 0})));
  BOOST_TEST(std::isnan(value({1e200, 1e200, std::nan("")})));
  BOOST_TEST(value({1e200, 1e200}) == kInf);
  BOOST_TEST(value({1e-200, -1e-200}) == 0);
  const auto f = [](const Tensor& t) { return prod(t); };
  with_both_rules([&] {
    const Tensor x = Tensor::from({1e-200, 1e-200, 0, 1e200, 1e200}, f64);
    const std::vector<double> g = numbers(derivative(f, x));
    BOOST_TEST(g[0] == 0);
    BOOST_TEST(std::abs(g[2] - 1) < 1e-15);
    BOOST_TEST(g[4] == 0);
  });
}

// All second derivatives, also of those that are 0 for a zero among the elements.
BOOST_AUTO_TEST_CASE(second_derivatives_beside_zeros) {
  const std::vector<std::vector<double>> cases{{0, 1e30, 0, 1e30, 1e-20, 1e-30, 1e-10},
                                               {0, 1e-15, 0, 1e-15, 1e-15, 1e30, 1e15},
                                               {0, 1e30, 1e30, 1e-20, 1e-30},
                                               {0, 1e-30, 1e-30, 1e20, 1e30},
                                               {1e30, 1e30, 1e-20, 1e-30},
                                               {0, -1e20, 0, 1e-30, 0, 1e10}};
  for (const Dtype dtype : {f32, f64})
    for (std::vector<double> x : cases) {
      if (dtype == f64)
        for (double& v : x) v = std::copysign(std::pow(std::abs(v), 8), v);
      const Tensor at = cast(doubles(x), dtype);
      x = numbers(at);
      const Limits limits(dtype);
      const auto f = [](const Tensor& t) { return prod(t); };
      const auto check = [&](double have, Real expected, const std::string& where) {
        const bool right = expected == 0
                               ? have == 0
                               : !limits.holds(expected) ||
                                     std::abs(static_cast<Real>(have) / expected - 1) < 20 * limits.rounding;
        BOOST_TEST(right, where << fmt::format(" of {} is ", at) << have << ", not "
                                << static_cast<double>(expected));
      };
      const std::vector<double> second = numbers(hessian(f, at));
      const std::vector<double> product = numbers(hvp(f, at, Tensor::ones(at.shape(), dtype)));
      const std::size_t n = x.size();
      for (std::size_t i = 0; i < n; ++i) {
        Real row = 0;
        for (std::size_t j = 0; j < n; ++j) {
          const Real expected = i == j ? 0 : product_without(x, 1, i, j);
          row += expected;
          check(second[i * n + j], expected, fmt::format("[{}][{}]", i, j));
        }
        check(product[i], row, fmt::format("row {}", i));
      }
    }
}

BOOST_AUTO_TEST_CASE(rows_beside_each_other_keep_their_bits) {
  std::vector<double> ordinary,
      wide;  // enough of them that lanes hold some, in another order than a plain loop
  for (int i = 0; i < 40; ++i) {
    ordinary.push_back(1 + 0.013 * (i % 7 - 3));
    wide.push_back(i < 4 ? (i % 2 ? 1e200 : 1e-200) : i < 6 ? (i % 2 ? 1e280 : 3e-280) : 1);
  }
  for (const std::int64_t axis : {0, 1}) {
    const auto rows = [&](const std::vector<double>& second) {
      const Tensor x = stack({doubles(ordinary), doubles(second)});
      return axis == 1 ? x : transpose(x);
    };
    const auto f = [axis](const Tensor& t) { return prod(t, axis); };
    const auto first = [axis](const Tensor& t) { return numbers(select(t, 1 - axis, 0)); };
    const Tensor alone = rows(ordinary), beside = rows(wide);
    BOOST_TEST(numbers(f(alone))[0] == numbers(f(beside))[0]);
    BOOST_TEST(std::abs(numbers(f(beside))[1] - 3) < 1e-15);
    with_both_rules([&] {
      BOOST_TEST(first(derivative(f, alone)) == first(derivative(f, beside)));
      BOOST_TEST(first(derivative(f, alone, 2)) == first(derivative(f, beside, 2)));
    });
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace prod_op_test
