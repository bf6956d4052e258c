// Hares and lynxes: the rates of a differential equation from what was counted. Each trial integrates 10,000 steps of
// Runge and Kutta, and differentiates through all of them.

#include <array>
#include <vector>

#include <tapegrad/optim/lbfgs.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

namespace {

constexpr int kSteps = 10000;
constexpr int kCounts = 40;
constexpr double kStep = 0.002;

/// Hares and lynxes at each count: hares multiply at the rate p[0] and are eaten at p[1], lynxes grow by what they eat
/// at p[2] and die at p[3].
template <class R>
std::vector<std::array<R, 2>> simulate(std::span<const R> p) {
  const auto rates = [&](const std::array<R, 2>& n) {
    return std::array<R, 2>{p[0] * n[0] - p[1] * n[0] * n[1], p[2] * n[0] * n[1] - p[3] * n[1]};
  };
  const auto moved = [](const std::array<R, 2>& n, double t, const std::array<R, 2>& k) {
    return std::array<R, 2>{n[0] + t * k[0], n[1] + t * k[1]};
  };
  std::vector<std::array<R, 2>> counts;
  std::array<R, 2> n{10, 5};
  for (int i = 1; i <= kSteps; ++i) {
    const auto a = rates(n), b = rates(moved(n, kStep / 2, a)), c = rates(moved(n, kStep / 2, b)),
               d = rates(moved(n, kStep, c));
    for (int j : {0, 1}) n[j] += kStep / 6 * (a[j] + 2 * b[j] + 2 * c[j] + d[j]);
    if (i % (kSteps / kCounts) == 0) counts.push_back(n);
  }
  return counts;
}

}  // namespace

int main() {
  const std::vector<double> truth{1.1, 0.4, 0.1, 0.4};
  const auto counted = simulate<double>(truth);

  const auto loss = [&](std::span<const Real> p) {
    Real sum = 0;
    const auto counts = simulate(p);
    for (std::size_t i = 0; i < counts.size(); ++i)
      for (int j : {0, 1}) sum += square(counts[i][j] - counted[i][j]);
    return sum;
  };
  const auto best = optim::lbfgs(loss, {0.8, 0.3, 0.08, 0.5}, {.tolerance = 1e-5});
  fmt::print("{}\n", best.message);
  fmt::print("rates {:.4f} {:.4f} {:.4f} {:.4f}; true are {} {} {} {}\n", best.x[0], best.x[1], best.x[2],
             best.x[3], truth[0], truth[1], truth[2], truth[3]);
}
