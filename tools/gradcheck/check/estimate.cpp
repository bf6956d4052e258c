#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <tapegrad/gradcheck/check/numeric.h>

namespace tapegrad::gradcheck::detail {

/// Differences of one row at each step of a window.
struct Line::Differences {
  using Steps = std::array<double, kWideSteps>;
  std::size_t count = 0;
  Steps central{}, second{}, right{}, left{}, noise{};
  double hidden = 0;   ///< what results that do not change at all may hide, times the step
  double size = 0;     ///< of the largest part
  bool moved = false;  ///< something changed at the smallest step
};

namespace {

struct Extrapolated {
  double value;
  double error;
};

/// Richardson's extrapolation to step 0 from steps halved each time, where the error is a series in h^first,
/// h^(first + stride), ... Ridders' error estimate: how far an entry lies from those it was made of.
Extrapolated extrapolate(const Line::Differences& from, const Line::Differences::Steps& d, int first,
                         int stride) {
  std::array<Line::Differences::Steps, Line::kWideSteps> t{};
  Extrapolated best{d[from.count - 1], std::numeric_limits<double>::infinity()};
  for (std::size_t l = 0; l < from.count; ++l) {
    t[l][0] = d[l];
    for (std::size_t k = 1; k <= l; ++k) {
      const double factor = std::ldexp(1, first + stride * static_cast<int>(k - 1));
      t[l][k] = t[l][k - 1] + (t[l][k - 1] - t[l - 1][k - 1]) / (factor - 1);
      const double error =
          std::max(std::abs(t[l][k] - t[l][k - 1]), std::abs(t[l][k] - t[l - 1][k - 1])) + 2 * from.noise[l];
      if (error <= best.error) best = {t[l][k], error};
    }
  }
  return best;
}

/// A smooth function's second difference halves with the step; a kink's stays, a pole's or a wave's does as
/// it likes.
void judge_second_differences(const Line::Differences& d, double allowed, Estimate& e) {
  e.smooth = true;
  e.kinked = true;
  for (std::size_t l = d.count - Line::kSteps; l + 1 < d.count; ++l) {
    const double s = d.second[l], next = d.second[l + 1];
    e.smooth &= std::abs(next - s / 2) <= 0.1 * std::abs(s) + allowed * d.noise[l + 1];
    e.kinked &= std::abs(next - s) <= 0.1 * std::abs(s) && std::abs(s) > 8 * d.noise[l + 1];
  }
}

}  // namespace

Estimate Line::estimate(const Row& row, int scale, Rounding rounding) {
  if (remembered_row_ != &row) remembered_.clear(), remembered_row_ = &row;
  for (const Remembered& r : remembered_)
    if (r.scale == scale && r.rounding == rounding) return r.estimate;
  remembered_.push_back({scale, rounding, estimated(row, scale, rounding)});
  return remembered_.back().estimate;
}

Line::Differences Line::differences(const Row& row, const Window& w) const {
  const Places& which = w.results.which;
  const Doubles &base = base_.values, &epsilon = base_.epsilon;
  const bool single = row.element >= 0;
  const auto weight_of = [&](std::size_t j) { return single ? 1.0 : row.weights[j]; };
  // Of `which`, the row is made of these.
  std::size_t first = 0, last = which.size();
  if (single) {
    const auto [begin, end] =
        std::equal_range(which.begin(), which.end(), static_cast<std::size_t>(row.element));
    first = static_cast<std::size_t>(begin - which.begin());
    last = static_cast<std::size_t>(end - which.begin());
  }

  Differences d;
  d.count = w.steps();
  const auto include_still = [&](std::size_t j) {
    const double part = std::abs(weight_of(j) * base[j]);
    d.size = std::max(d.size, part);
    d.hidden += epsilon[j] * part;
  };
  if (single && first == last) include_still(static_cast<std::size_t>(row.element));
  for (std::size_t j = 0, k = 0; !single && j < base.size(); ++j) {
    if (k < which.size() && which[k] == j)
      ++k;
    else
      include_still(j);
  }
  for (std::size_t k = first; k < last; ++k) {
    const double weight = weight_of(which[k]), b = base[which[k]];
    d.moved |= !(w.plus(d.count - 1)[k] == b && w.minus(d.count - 1)[k] == b);
    d.size = std::max(
        {d.size, std::abs(weight * b), std::abs(weight * w.plus(0)[k]), std::abs(weight * w.minus(0)[k])});
  }
  // Squares of what is near 1e-300 would be 0.
  const double unit = d.size > 0 ? std::ldexp(1, std::clamp(-std::ilogb(d.size), -1000, 1000)) : 1;
  double h = 1;
  for (std::size_t l = 0; l < d.count; ++l, h /= 2) {
    const Doubles &plus = w.plus(l), &minus = w.minus(l);
    double noise = 0;
    for (std::size_t k = first; k < last; ++k) {
      const std::size_t j = which[k];
      const double p = plus[k], m = minus[k], weight = weight_of(j);
      d.central[l] += weight * (p - m) / (2 * h);
      d.right[l] += weight * (p - base[j]) / h;
      d.left[l] += weight * (base[j] - m) / h;
      const double ulps = unit * (weight * epsilon[j] * (std::abs(p) + std::abs(m)) / (2 * h));
      noise += ulps * ulps;  // the results' errors are independent
    }
    d.noise[l] = (single ? 1 : 2) * std::sqrt(noise) / unit;
    d.second[l] = d.right[l] - d.left[l];
  }
  return d;
}

Estimate Line::estimated(const Row& row, int scale, Rounding rounding) {
  Differences d = differences(row, window(scale));
  double inner = 0, allowed = kInnerRounding;
  if (rounding == Rounding::measured) {
    inner = 2 * measured_rounding(row, scale);
    if (!std::isfinite(inner)) return {};
    allowed = 16;
  }
  double h = 1;
  for (std::size_t l = 0; l < d.count; ++l, h /= 2) {
    if (!std::isfinite(d.central[l]) || !std::isfinite(d.second[l])) return {};
    d.noise[l] += inner / h;
  }
  Extrapolated best = extrapolate(d, d.central, 2, 2);
  // Where only the second derivative jumps, the error is a series in all powers.
  if (const Extrapolated all = extrapolate(d, d.central, 1, 1); all.error < best.error) best = all;

  Estimate e{.finite = true,
             .moved = d.moved,
             .value = best.value,
             .uncertainty = best.error,
             .noise = 2 * d.noise[d.count - 1],
             .hidden = std::ldexp(d.hidden, static_cast<int>(d.count) - 1),  // at the smallest step
             .left = extrapolate(d, d.left, 1, 1).value,
             .right = extrapolate(d, d.right, 1, 1).value,
             .rounding = inner,
             .size = d.size};
  judge_second_differences(d, allowed, e);
  return e;
}

}  // namespace tapegrad::gradcheck::detail
