// Bundle adjustment: where cameras stood and what they looked at, from where each saw each point in its picture. One
// gradient differentiates through all projections, whose code is written for any number type.

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <tapegrad/optim/lbfgs.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

namespace {

constexpr std::size_t kCameras = 6, kPoints = 40;
constexpr std::size_t kOfCamera = 6, kOfPoint = 3;
constexpr double kFocalLength = 500;  // in pixels

/// Where a camera sees a point, in pixels from the middle of its picture. The camera turns the point by the length of
/// c[0..2] around it, moves it by c[3..5], and looks along z.
template <class R>
std::array<R, 2> project(std::span<const R> c, std::span<const R> point) {
  using std::cos, std::sin, std::sqrt;
  const auto cross = [](const auto& a, const auto& b) {
    return std::array<R, 3>{a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
  };
  const R square = c[0] * c[0] + c[1] * c[1] + c[2] * c[2];
  std::array<R, 3> p{point[0], point[1], point[2]};
  const std::array<R, 3> once = cross(c, p), twice = cross(c, once);
  // Rodrigues' formula; near zero, where it is 0 / 0, its series.
  R first = 1 - square / 6, second = 0.5 - square / 24;
  if (square > 1e-8) {
    const R angle = sqrt(square);
    first = sin(angle) / angle;
    second = (1 - cos(angle)) / square;
  }
  for (std::size_t i = 0; i < 3; ++i) p[i] += first * once[i] + second * twice[i] + c[3 + i];
  return {kFocalLength * p[0] / p[2], kFocalLength * p[1] / p[2]};
}

/// Calls f(camera, point, number) for all that is seen; x holds the cameras, then the points.
template <class R, class F>
void for_observations(std::span<const R> x, const F& f) {
  std::size_t number = 0;
  for (std::size_t i = 0; i < kCameras; ++i)
    for (std::size_t j = 0; j < kPoints; ++j, ++number)
      f(x.subspan(i * kOfCamera, kOfCamera), x.subspan(kCameras * kOfCamera + j * kOfPoint, kOfPoint),
        number);
}

}  // namespace

int main() {
  Generator rng(1);
  const auto drawn = [&](double width) { return width * (2 * rng.uniform() - 1); };
  std::vector<double> truth;
  for (std::size_t i = 0; i < kCameras; ++i)
    truth.insert(truth.end(),
                 {drawn(0.1), -0.5 + 0.2 * static_cast<double>(i), drawn(0.1), drawn(0.5), drawn(0.5), 8});
  for (std::size_t i = 0; i < kOfPoint * kPoints; ++i) truth.push_back(drawn(2));

  std::vector<std::array<double, 2>> seen;
  for_observations(std::span<const double>(truth),
                   [&](auto camera, auto point, std::size_t) { seen.push_back(project(camera, point)); });
  // Half the sum of squared distances between where the points are seen and where they should be.
  const auto error = [&](std::span<const Real> x) {
    Real sum = 0;
    for_observations(x, [&](auto camera, auto point, std::size_t number) {
      const auto [u, v] = project(camera, point);
      sum += square(u - seen[number][0]) + square(v - seen[number][1]);
    });
    return sum / 2;
  };
  const auto pixels = [](double value) { return std::sqrt(2 * value / (kCameras * kPoints)); };

  std::vector<double> guess = truth;
  for (double& x : guess) x += drawn(0.05);
  fmt::print("{} unknowns, {} points seen; at first they are {:.1f} pixels off\n", guess.size(), seen.size(),
             pixels(value_and_gradient(error, guess).value));
  const auto best = optim::lbfgs(error, guess, {.iterations = 2000, .tolerance = 1e-3});
  fmt::print("after {} iterations {:.4f} pixels\n", best.iterations, pixels(best.value));
  return pixels(best.value) < 0.01 ? 0 : 1;
}
