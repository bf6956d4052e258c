// The parameters of a distribution from 10,000 observations, with their standard errors: a likelihood as a loop over
// numbers, its maximum by L-BFGS, its Hessian by differentiating it twice.

#include <cmath>
#include <vector>

#include <tapegrad/ops/scalar/scalar_function.h>
#include <tapegrad/optim/lbfgs.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

namespace {
constexpr int kObservations = 10000;
}

int main() {
  // Waiting times of a gamma distribution with the shape 3 and the rate 2: sums of three exponential ones.
  Generator g(1);
  const Tensor uniforms = uniform({kObservations, 3}, g, 0, 1, f64);
  const Tensor times = sum(-log(uniforms) / 2.0, {1});
  const auto x = times.values<double>();

  // Minus the mean log-likelihood; shape and rate are positive as exponentials.
  const auto loss = [x]<class R>(std::span<const R> p) {
    const R shape = exp(p[0]), rate = exp(p[1]);
    R sum = 0;
    for (const double t : x) sum += lgamma(shape) - shape * p[1] - (shape - 1) * std::log(t) + rate * t;
    return R(sum / kObservations);
  };

  const auto best = optim::lbfgs([&](std::span<const Real> p) { return loss(p); }, {0.0, 0.0});
  fmt::print("{}\n", best.message);

  // The inverse of the information is the covariance of the estimates.
  const Tensor information =
      kObservations *
      hessian([&](const Tensor& p) { return scalar_function(loss, p); }, Tensor::from(best.x, {2}));
  const auto h = information.values<double>();
  const double determinant = h[0] * h[3] - h[1] * h[2];
  const double shape = std::exp(best.x[0]), rate = std::exp(best.x[1]);
  fmt::print("shape {:.3f} +- {:.3f}, rate {:.3f} +- {:.3f}; true are 3 and 2\n", shape,
             shape * std::sqrt(h[3] / determinant), rate, rate * std::sqrt(h[0] / determinant));
}
