// Activations of more than one parameter or formula, against formulas in long double.

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <tapegrad/ops/elementwise/activation.h>

#include "long_derivatives.h"
#include "op_support.h"

namespace smooth_activation_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(smooth_activation)

BOOST_AUTO_TEST_CASE(softplus_with_beta) {
  for (const Dtype dtype : {f32, f64})
    for (const double beta : {0.25, 1.0, 2.0, 16.0}) {  // powers of two: the product with x is exact
      std::vector<double> some;
      for (const double x : magnitudes(dtype, true))
        if (beta * std::abs(x) < (dtype == f32 ? 80 : 700) || x > 1e3) some.push_back(x);
      check_derivatives<1>(
          "softplus", dtype, line(some), [=](const Tensor& x) { return softplus(x, beta); },
          [=](auto x) { return softplus(x, beta); },
          [=](const std::array<Long, 1>& p) {
            const Long z = static_cast<Long>(beta) * p[0];
            const Long s = 1 / (1 + std::exp(-z)), other = 1 / (1 + std::exp(z));
            return Expected{
                std::max(p[0], Long{0}) + std::log1p(std::exp(-std::abs(z))) / static_cast<Long>(beta),
                {s},
                {static_cast<Long>(beta) * s * other}};
          },
          {8, 8, 16});
    }
  for (const double beta : {0.0, -1.0, kInf, kNan})
    BOOST_CHECK_EXCEPTION(softplus(Tensor::ones({2}), beta), ArgumentError, mentions("softplus", "beta"));
}

BOOST_AUTO_TEST_CASE(gelu_by_tanh) {
  const Long c = std::sqrt(2 / std::acos(Long{-1})), k = 0.044715L;
  for (const Dtype dtype : {f32, f64}) {
    std::vector<double> some;
    for (const double x : magnitudes(dtype, true))
      if (x > (dtype == f32 ? -9 : -20) || x < -40) some.push_back(x);
    check_derivatives<1>(
        "gelu_tanh", dtype, line(some), [](const Tensor& x) { return gelu_tanh(x); },
        [](auto x) { return gelu_tanh(x); },
        [=](const std::array<Long, 1>& p) -> Expected {
          const Long x = p[0];
          if (x > 50) return {x, {1}, {0}};
          if (x < -50) return {0, {0}, {0}};
          const Long u = 2 * c * (x + k * x * x * x), du = 2 * c * (1 + 3 * k * x * x), ddu = 12 * c * k * x;
          const Long s = 1 / (1 + std::exp(-u)), q = 1 / (1 + std::exp(u));
          return {x * s, {s + x * s * q * du}, {2 * s * q * du + x * s * q * (ddu + du * du * (q - s))}};
        },
        {dtype == f32 ? 8.0 : 1024.0, dtype == f32 ? 64.0 : 4096.0, dtype == f32 ? 512.0 : 16384.0});
  }
  check_tensor(gelu_tanh(Tensor::from({1, -1, 0.5}, f64)), {3},
               {0.8411919906082768, -0.15880800939172324, 0.34571400982514394}, 1e-15);  // of PyTorch
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace smooth_activation_test
