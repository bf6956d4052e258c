#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include "tasks.h"

/// The functions of ScalarCodeTask, for numbers R of any contender, whose functions are found by their arguments.
namespace tapegrad::bench {

template <class R>
R rosenbrock(const std::vector<R>& p) {
  R sum(0.0);
  for (std::size_t i = 0; i + 1 < p.size(); ++i) {
    const R a = p[i + 1] - p[i] * p[i], b = 1.0 - p[i];
    sum += 100.0 * a * a + b * b;
  }
  return sum;
}

/// Squared distances from what was counted, of hares and lynxes by 10,000 steps of Runge and Kutta.
template <class R>
R lotka_volterra(const std::vector<R>& p, const std::vector<double>& counted) {
  constexpr double kStep = 0.002;
  const std::size_t every = 20000 / counted.size();
  R x(10.0), y(5.0), sum(0.0);
  for (std::size_t i = 0; i < 10000; ++i) {
    const R a1 = p[0] * x - p[1] * x * y, b1 = p[2] * x * y - p[3] * y;
    const R x2 = x + kStep / 2 * a1, y2 = y + kStep / 2 * b1;
    const R a2 = p[0] * x2 - p[1] * x2 * y2, b2 = p[2] * x2 * y2 - p[3] * y2;
    const R x3 = x + kStep / 2 * a2, y3 = y + kStep / 2 * b2;
    const R a3 = p[0] * x3 - p[1] * x3 * y3, b3 = p[2] * x3 * y3 - p[3] * y3;
    const R x4 = x + kStep * a3, y4 = y + kStep * b3;
    const R a4 = p[0] * x4 - p[1] * x4 * y4, b4 = p[2] * x4 * y4 - p[3] * y4;
    x += kStep / 6 * (a1 + 2.0 * a2 + 2.0 * a3 + a4);
    y += kStep / 6 * (b1 + 2.0 * b2 + 2.0 * b3 + b4);
    if ((i + 1) % every == 0) {
      const std::size_t at = (i + 1) / every - 1;
      const R dx = x - counted[2 * at], dy = y - counted[2 * at + 1];
      sum += dx * dx + dy * dy;
    }
  }
  return sum;
}

/// Minus the log-likelihood of a mixture of two normal distributions: p is the weight, the means and the logarithms of
/// the deviations.
template <class R>
R mixture(const std::vector<R>& p, const std::vector<double>& x) {
  using std::exp, std::log;
  const R ra = exp(-p[3]), rb = exp(-p[4]);
  R sum(0.0);
  for (const double v : x) {
    const R a = (v - p[1]) * ra, b = (v - p[2]) * rb;
    sum -= log(p[0] * ra * exp(-0.5 * a * a) + (1.0 - p[0]) * rb * exp(-0.5 * b * b));
  }
  return sum;
}

template <class R>
R scalar_code(const ScalarCodeTask& task, const std::vector<R>& p) {
  switch (task.code) {
    case ScalarCode::rosenbrock:
      return rosenbrock(p);
    case ScalarCode::ode:
      return lotka_volterra(p, task.data);
    default:
      return mixture(p, task.data);
  }
}

}  // namespace tapegrad::bench
