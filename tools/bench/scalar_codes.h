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

/// Squared distance between where a camera sees a point and where it was seen. The camera turns by the length of
/// c[0..2] around it, moves by c[3..5], looks along -z, and has the focal length c[6] and a lens distorted by c[7] and
/// c[8].
template <class R>
R reprojection_error(const R* c, const R* point, const double* seen) {
  using std::cos, std::sin, std::sqrt;
  const R angle = sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]);
  const R cosine = cos(angle), sine = sin(angle);
  const R ax = c[0] / angle, ay = c[1] / angle, az = c[2] / angle;
  const R along = (ax * point[0] + ay * point[1] + az * point[2]) * (1.0 - cosine);
  const R x = point[0] * cosine + (ay * point[2] - az * point[1]) * sine + ax * along + c[3];
  const R y = point[1] * cosine + (az * point[0] - ax * point[2]) * sine + ay * along + c[4];
  const R z = point[2] * cosine + (ax * point[1] - ay * point[0]) * sine + az * along + c[5];
  const R u = -x / z, v = -y / z, square = u * u + v * v;
  const R scale = c[6] * (1.0 + square * (c[7] + c[8] * square));
  const R du = scale * u - seen[0], dv = scale * v - seen[1];
  return du * du + dv * dv;
}

/// Calls f with where in p a camera and a point begin, and where in the data what the one saw of the other does.
template <class F>
void for_observations(const ScalarCodeTask& task, const F& f) {
  std::size_t seen = 0;
  for (std::size_t point = kCameras * kOfCamera; point < task.at.size(); point += 3)
    for (std::size_t i = 0; i < kCameras; ++i, seen += 2) f(i * kOfCamera, point, seen);
}

template <class R>
R cameras(const ScalarCodeTask& task, const std::vector<R>& p) {
  R sum(0.0);
  for_observations(task, [&](std::size_t camera, std::size_t point, std::size_t seen) {
    sum += reprojection_error(&p[camera], &p[point], &task.data[seen]);
  });
  return sum;
}

template <class R>
R scalar_code(const ScalarCodeTask& task, const std::vector<R>& p) {
  switch (task.code) {
    case ScalarCode::rosenbrock:
      return rosenbrock(p);
    case ScalarCode::ode:
      return lotka_volterra(p, task.data);
    case ScalarCode::mixture:
      return mixture(p, task.data);
    default:
      return cameras(task, p);
  }
}

}  // namespace tapegrad::bench
