#include <algorithm>
#include <cmath>
#include <limits>

#include <tapegrad/gradcheck/numeric.h>

namespace tapegrad::gradcheck::detail {

double natural_step(double x, double reach) { return std::min(0x1p-7 * std::max(std::abs(x), 0.5), 0.25 * reach); }

Line::Line(const Problem& problem, std::vector<Tensor>& at, std::span<const double> base,
           std::span<const double> epsilon, std::vector<Move> moves)
    : problem_(problem), at_(at), base_(base), epsilon_(epsilon), moves_(std::move(moves)) {
  for (const Move& m : moves_)
    from_.push_back(visit_floating(at_[m.input].dtype(),
                                   [&]<class T> { return static_cast<double>(at_[m.input].values<T>()[m.element]); }));
}

namespace {

/// The move rounded so that x plus and minus it, its half and its quarter are exact in the tensor's precision.
double exact_move(double x, double by, Dtype dtype) {
  const double reach = std::max(std::abs(x), std::abs(by)) * 2;
  const double ulp = dtype == Dtype::f64
                         ? std::nextafter(reach, std::numeric_limits<double>::infinity()) - reach
                         : std::nextafterf(static_cast<float>(reach), std::numeric_limits<float>::infinity()) -
                               static_cast<float>(reach);
  const double grid = ulp * (1 << (Line::kSteps - 1));
  const double rounded = std::round(by / grid) * grid;
  return rounded != 0 ? rounded : std::copysign(grid, by);
}

}  // namespace

std::vector<double> Line::results_at(const std::vector<double>& by, double t) {
  const auto put = [&](auto&& value_of) {
    for (std::size_t k = 0; k < moves_.size();) {
      Tensor& x = at_[moves_[k].input];
      visit_floating(x.dtype(), [&]<class T> {
        const std::span<T> cells = x.mutable_values<T>();
        const std::size_t input = moves_[k].input;
        for (; k < moves_.size() && moves_[k].input == input; ++k)
          cells[moves_[k].element] = static_cast<T>(value_of(k));
      });
    }
  };
  put([&](std::size_t k) { return from_[k] + t * by[k]; });
  std::vector<double> r;
  try {
    r = to_doubles(problem_.evaluate(at_));
  } catch (...) {
    put([&](std::size_t k) { return from_[k]; });
    throw;
  }
  put([&](std::size_t k) { return from_[k]; });
  return r;
}

const Line::Window& Line::window(int scale) {
  const auto [entry, fresh] = windows_.try_emplace(scale);
  Window& w = entry->second;
  if (!fresh) return w;
  for (std::size_t k = 0; k < moves_.size(); ++k)
    w.by.push_back(exact_move(from_[k], std::ldexp(moves_[k].by, scale), at_[moves_[k].input].dtype()));
  double t = 1;
  for (std::size_t l = 0; l < kSteps; ++l, t /= 2) {
    w.plus[l] = results_at(w.by, t);
    w.minus[l] = results_at(w.by, -t);
  }
  return w;
}

namespace {

/// Differences of one row at one step.
struct Difference {
  double central = 0, second = 0, right = 0, left = 0, noise = 0, hidden = 0;
};

constexpr std::size_t kSteps = Line::kSteps;

struct Extrapolated {
  double value;
  double error;
};

/// Richardson's extrapolation to step 0 from steps halved each time, where the error is a series in h^first,
/// h^(first + stride), ... Ridders' error estimate: how far an entry lies from those it was made of.
Extrapolated extrapolate(const std::array<double, kSteps>& d, const std::array<double, kSteps>& noise, int first,
                         int stride) {
  std::array<std::array<double, kSteps>, kSteps> t{};
  Extrapolated best{d[kSteps - 1], std::numeric_limits<double>::infinity()};
  for (std::size_t l = 0; l < kSteps; ++l) {
    t[l][0] = d[l];
    for (std::size_t k = 1; k <= l; ++k) {
      const double factor = std::ldexp(1, first + stride * static_cast<int>(k - 1));
      t[l][k] = t[l][k - 1] + (t[l][k - 1] - t[l - 1][k - 1]) / (factor - 1);
      const double error =
          std::max(std::abs(t[l][k] - t[l][k - 1]), std::abs(t[l][k] - t[l - 1][k - 1])) + 2 * noise[l];
      if (error <= best.error) best = {t[l][k], error};
    }
  }
  return best;
}

}  // namespace

Estimate Line::estimate(const Row& row, int scale) {
  const Window& w = window(scale);
  std::array<Difference, kSteps> d;
  double h = 1;
  for (std::size_t l = 0; l < kSteps; ++l, h /= 2) {
    const auto include = [&](std::size_t j, double weight) {
      const double p = w.plus[l][j], m = w.minus[l][j], b = base_[j];
      if (p == m && p == b) {
        d[l].hidden += std::abs(weight * b) * epsilon_[j] / h;
        return;
      }
      d[l].central += weight * (p - m) / (2 * h);
      d[l].right += weight * (p - b) / h;
      d[l].left += weight * (b - m) / h;
      d[l].noise += std::abs(weight) * (std::abs(p) + std::abs(m)) * epsilon_[j] / (2 * h);
    };
    if (row.element >= 0)
      include(static_cast<std::size_t>(row.element), 1);
    else
      for (std::size_t j = 0; j < base_.size(); ++j) include(j, row.weights[j]);
    d[l].second = d[l].right - d[l].left;
    if (!std::isfinite(d[l].central) || !std::isfinite(d[l].second)) return {};
  }

  const auto pick = [&](double Difference::*member) {
    std::array<double, kSteps> a;
    for (std::size_t l = 0; l < kSteps; ++l) a[l] = d[l].*member;
    return a;
  };
  const std::array<double, kSteps> central = pick(&Difference::central), noise = pick(&Difference::noise);
  Extrapolated best = extrapolate(central, noise, 2, 2);
  // Where only the second derivative jumps, the error is a series in all powers.
  if (const Extrapolated all = extrapolate(central, noise, 1, 1); all.error < best.error) best = all;

  Estimate e;
  e.finite = true;
  e.value = best.value;
  e.uncertainty = best.error;
  e.noise = 2 * d[kSteps - 1].noise;
  e.hidden = d[kSteps - 1].hidden;
  e.right = extrapolate(pick(&Difference::right), noise, 1, 1).value;
  e.left = extrapolate(pick(&Difference::left), noise, 1, 1).value;

  // A smooth function's second difference halves with the step; a kink's stays, a pole's or a wave's does as it likes.
  // Rounding inside the function may be well above that of its result.
  e.smooth = true;
  e.kinked = true;
  for (std::size_t l = 0; l + 1 < kSteps; ++l) {
    const double s = d[l].second, next = d[l + 1].second;
    const double rounding = 4096 * d[l + 1].noise;
    e.smooth &= std::abs(next - s / 2) <= 0.1 * std::abs(s) + rounding;
    e.kinked &= std::abs(next - s) <= 0.1 * std::abs(s) && std::abs(s) > 8 * d[l + 1].noise;
  }
  return e;
}

}  // namespace tapegrad::gradcheck::detail
