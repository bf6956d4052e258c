#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>
#include "jet.h"

#include "support.h"

namespace magnitudes_test {

/// Values and derivatives of elementwise functions over all magnitudes that a number can have, against numbers of 113
/// bits.

using namespace tapegrad;
using reference::Jet;
using reference::Quad;

namespace {

const Quad kPi = reference::acos(Quad{-1});

struct Function {
  const char* name;
  std::function<Tensor(const Tensor&)> on_tensors;
  std::function<Jet(const Jet&)> reference;
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();
  bool zero = true;  ///< defined, and smooth, at the smallest magnitudes
};

Jet magnitude(const Jet& x) { return x.c[0] < 0 ? -x : x; }
/// e^-|x|, from which saturating functions are made without loss.
Jet decay(const Jet& x) { return exp(-magnitude(x)); }
Jet sigmoid_reference(const Jet& x) {
  const Jet e = decay(x);
  return reference::integral(x.c[0] < 0 ? e.c[0] / (1 + e.c[0]) : 1 / (1 + e.c[0]),
                             e / ((1.0 + e) * (1.0 + e)), x);
}
Jet softplus_reference(const Jet& x) {
  const Quad value =
      (x.c[0] > 0 ? x.c[0] : Quad{0}) + reference::log1p(reference::exp(-reference::abs(x.c[0])));
  return reference::integral(value, sigmoid_reference(x), x);
}
Jet tanh_reference(const Jet& x) {
  const Jet e = decay(x) * decay(x);
  return reference::integral(reference::tanh(x.c[0]), 4.0 * e / ((1.0 + e) * (1.0 + e)), x);
}
Jet tanh_of(const Jet& x) {  // along any series
  const Jet e = exp(-(magnitude(x) + magnitude(x)));
  return reference::integral(reference::tanh(x.c[0]), 4.0 * e / ((1.0 + e) * (1.0 + e)), x);
}
/// The series of sinh, or of cosh, which is each the derivative of the other.
Jet hyperbolic(Quad x, std::size_t first) {
  Jet y(Quad{0});
  Quad factorial = 1;
  for (std::size_t k = 0; k < Jet::kTerms; ++k) {
    if (k > 0) factorial *= reference::index(k);
    y.c[k] = ((first + k) % 2 ? reference::cosh(x) : reference::sinh(x)) / factorial;
  }
  return y;
}
Jet gaussian_reference(const Jet& x) { return exp(-(x * x)); }
Jet normal_cdf_reference(const Jet& x) {
  const Quad root2 = reference::sqrt(Quad{2});
  return reference::integral(reference::erfc(-x.c[0] / root2) / 2,
                             exp(-(x * x) * 0.5) * (1 / reference::sqrt(2 * kPi)), x);
}
Jet elu_reference(const Jet& x, Quad positive, Quad alpha) {
  if (x.c[0] > 0) return x * positive;
  return reference::integral(alpha * reference::expm1(x.c[0]), exp(x) * alpha, x);
}

const std::vector<Function>& functions() {
  static const std::vector<Function> all{
      {"square", [](auto& x) { return square(x); }, [](auto& x) { return x * x; }},
      {"1 / x", [](auto& x) { return 1 / x; }, [](auto& x) { return 1.0 / x; }},
      {"sqrt", [](auto& x) { return sqrt(x); }, [](auto& x) { return sqrt(x); }, 0},
      {"rsqrt", [](auto& x) { return rsqrt(x); }, [](auto& x) { return pow(x, Quad{-0.5}); }, 0},
      {"pow 2.5", [](auto& x) { return pow(x, 2.5); }, [](auto& x) { return pow(x, Quad{2.5}); }, 0},
      {"exp", [](auto& x) { return exp(x); }, [](auto& x) { return exp(x); }},
      {"expm1", [](auto& x) { return expm1(x); },
       [](auto& x) { return reference::integral(reference::expm1(x.c[0]), exp(x), x); }},
      {"log", [](auto& x) { return log(x); },
       [](auto& x) { return reference::integral(reference::log(x.c[0]), 1.0 / x, x); }, 0},
      {"log1p", [](auto& x) { return log1p(x); },
       [](auto& x) { return reference::integral(reference::log1p(x.c[0]), 1.0 / (1.0 + x), x); }, -1},
      {"sin", [](auto& x) { return sin(x); }, [](auto& x) { return sin(x); }},
      {"cos", [](auto& x) { return cos(x); }, [](auto& x) { return cos(x); }},
      {"tan", [](auto& x) { return tan(x); }, [](auto& x) { return sin(x) / cos(x); }},
      {"asin", [](auto& x) { return asin(x); },
       [](auto& x) {
         return reference::integral(reference::asin(x.c[0]), 1.0 / sqrt((1.0 - x) * (1.0 + x)), x);
       },
       -1, 1},
      {"acos", [](auto& x) { return acos(x); },
       [](auto& x) {
         return reference::integral(reference::acos(x.c[0]), -1.0 / sqrt((1.0 - x) * (1.0 + x)), x);
       },
       -1, 1},
      {"atan", [](auto& x) { return atan(x); },
       [](auto& x) { return reference::integral(reference::atan(x.c[0]), 1.0 / (1.0 + x * x), x); }},
      {"sinh", [](auto& x) { return sinh(x); }, [](auto& x) { return hyperbolic(x.c[0], 0); }},
      {"cosh", [](auto& x) { return cosh(x); }, [](auto& x) { return hyperbolic(x.c[0], 1); }},
      {"erf", [](auto& x) { return erf(x); },
       [](auto& x) {
         return reference::integral(reference::erf(x.c[0]),
                                    gaussian_reference(x) * (2 / reference::sqrt(kPi)), x);
       }},
      {"erfc", [](auto& x) { return erfc(x); },
       [](auto& x) {
         return reference::integral(reference::erfc(x.c[0]),
                                    gaussian_reference(x) * (-2 / reference::sqrt(kPi)), x);
       }},
      {"sigmoid", [](auto& x) { return sigmoid(x); }, sigmoid_reference},
      {"tanh", [](auto& x) { return tanh(x); }, tanh_reference},
      {"softplus", [](auto& x) { return softplus(x); }, softplus_reference},
      {"log_sigmoid", [](auto& x) { return log_sigmoid(x); },
       [](auto& x) { return -softplus_reference(-x); }},
      {"silu", [](auto& x) { return silu(x); }, [](auto& x) { return x * sigmoid_reference(x); }},
      {"gelu", [](auto& x) { return gelu(x); }, [](auto& x) { return x * normal_cdf_reference(x); }},
      {"mish", [](auto& x) { return mish(x); }, [](auto& x) { return x * tanh_of(softplus_reference(x)); }},
      {"elu", [](auto& x) { return elu(x, 0.7); },
       [](auto& x) { return elu_reference(x, Quad{1}, Quad{0.7}); }},
      {"softsign", [](auto& x) { return softsign(x); },
       [](auto& x) {
         const Jet d = 1.0 + magnitude(x);
         return reference::integral(x.c[0] / d.c[0], 1.0 / (d * d), x);
       }},
  };
  return all;
}

constexpr int kOrders = 4;

/// 110 magnitudes of both signs, from the smallest number there is.
std::vector<double> points() {
  std::vector<double> all;
  for (int k = 0; k < 110; ++k) {
    const double x = k == 0 ? 5e-324 : std::pow(10.0, -323 + k * (300.0 + 323) / 109);
    all.push_back(x);
    all.push_back(-x);
  }
  for (const double x : {0.1, 0.5, 0.75, 1 - 0x1p-40, 1.5, 3.0, 6.0, 10.0, 13.5, 17.0, 26.0, 40.0, 50.0, 88.0,
                         100.0, 300.0, 360.0, 700.0, 740.0}) {
    all.push_back(x);
    all.push_back(-x);
  }
  return all;
}

struct Disagreements {
  int compared = 0;
  std::string text;
};

/// `derivatives`: by order, then by point.
template <class T>
void compare(const Function& f, const std::vector<T>& at, const std::vector<std::vector<T>>& derivatives,
             const char* how, Disagreements& d) {
  using Limits = std::numeric_limits<T>;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const Jet expected = f.reference(Jet::variable(static_cast<Quad>(at[i])));
    Quad factorial = 1;
    for (std::size_t order = 0; order < derivatives.size(); ++order) {
      if (order > 0) factorial *= reference::index(order);
      const Quad want = expected.c[order] * factorial;
      const Quad slope = expected.c[order + 1] * factorial * reference::index(order + 1);
      const T have = derivatives[order][i];
      // Some units in the last place, and what a few units of x are worth.
      const Quad rounding =
          static_cast<Quad>(Limits::epsilon()) *
          (64 * reference::abs(want) + 4 * reference::abs(slope * static_cast<Quad>(at[i])));
      // The reference loses digits itself where derivatives of other orders are so much larger, as cosh' near 0.
      Quad scale = 0;
      for (const Quad c : expected.c)
        if (reference::abs(c) < Quad{1e300} * Quad{1e300}) scale = std::max(scale, reference::abs(c));
      // A subnormal number is off by up to half the smallest one. Some formulas multiply one by x, and again at each
      // order from the third on.
      const double growth = 1 + std::min(std::abs(static_cast<double>(at[i])), 1000.0);
      const Quad subnormal = 4 * static_cast<Quad>(Limits::denorm_min()) *
                             std::pow(growth, std::max(static_cast<double>(order) - 1, 1.0));
      const Quad most = static_cast<Quad>(Limits::max());
      bool agree = false;
      if (reference::abs(want) + rounding >= most)
        agree = std::isinf(have) ? (have > 0) == (want > 0)
                                 : reference::abs(static_cast<Quad>(have)) >= most * 0.99;
      else
        agree = reference::abs(static_cast<Quad>(have) - want) <= rounding + subnormal + Quad{1e-30} * scale;
      ++d.compared;
      if (!agree)
        d.text += f.name + std::string(how) + ", order " + std::to_string(order) + " at " +
                  std::to_string(static_cast<double>(at[i])) + " = 2^" + std::to_string(std::ilogb(at[i])) +
                  ": expected " + std::to_string(static_cast<double>(want)) + " (2^" +
                  std::to_string(std::ilogb(static_cast<double>(want))) + "), got " + std::to_string(have) +
                  " (2^" + std::to_string(std::ilogb(have)) + ")\n";
    }
  }
}

template <class T>
void scan(Disagreements& d) {
  for (const Function& f : functions()) {
    std::vector<T> at;
    for (const double p : points()) {
      const T x = static_cast<T>(p);
      if (x != 0 && std::isfinite(x) && static_cast<double>(x) > f.lowest &&
          static_cast<double>(x) < f.highest)
        at.push_back(x);
    }
    Tape tape;
    const Tensor x = tape.watch(Tensor::from(at));
    std::vector<std::vector<T>> derivatives;
    Tensor y = f.on_tensors(x);
    const std::vector<T> fused = tape.grad(sum(y), x).template to_vector<T>();
    for (int order = 0; order < kOrders; ++order) {
      if (order > 0) y = tape.grad(sum(y), x, {.record = Record::yes});
      derivatives.push_back(y.to_vector<T>());
    }
    compare<T>(f, at, derivatives, "", d);
    compare<T>(f, at, {derivatives[0], fused}, " by its loop", d);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(magnitudes)

BOOST_AUTO_TEST_CASE(f64_orders_0_to_3) {
  Disagreements d;
  scan<double>(d);
  BOOST_TEST(d.text == "");
  BOOST_TEST(d.compared > 20000);
}

BOOST_AUTO_TEST_CASE(f32_orders_0_to_3) {
  Disagreements d;
  scan<float>(d);
  BOOST_TEST(d.text == "");
  BOOST_TEST(d.compared > 5000);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace magnitudes_test
