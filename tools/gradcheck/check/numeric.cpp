#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <tapegrad/gradcheck/check/numeric.h>
#include <tapegrad/graph/errors.h>

namespace tapegrad::gradcheck::detail {

constexpr double kRelativeStep = 0x1p-7;

double natural_step(double x, double max_step) {
  return std::min(kRelativeStep * std::max(std::abs(x), 0.5), 0.25 * max_step);
}

double possible_step(double x, double max_step) {
  const double step = natural_step(x, max_step);
  return x == 0 ? step : std::min(step, kRelativeStep * std::abs(x));
}

Base::Base(std::span<const Tensor> results) : values(to_doubles(results)) {
  for (const Tensor& r : results)
    epsilon.insert(epsilon.end(), static_cast<std::size_t>(r.size()), epsilon_of(r.dtype()));
}

double Base::value(const Row& row) const {
  if (row.element >= 0) return values[static_cast<std::size_t>(row.element)];
  return std::inner_product(values.begin(), values.end(), row.weights.begin(), 0.0);
}

double Base::largest(const Row& row) const {
  double largest = 0;
  for (std::size_t j = 0; j < values.size(); ++j) {
    const double part = std::abs(row.element >= 0 ? values[j] : row.weights[j] * values[j]);
    if (std::isfinite(part)) largest = std::max(largest, part);
  }
  return largest;
}

Line::Line(const Problem& problem, std::vector<Tensor>& at, const Base& base, std::vector<Move> moves)
    : problem_(problem), at_(at), base_(base), moves_(std::move(moves)) {
  for (const Move& m : moves_)
    from_.push_back(visit_floating(at_[m.input].dtype(), [&]<class T> {
      return static_cast<double>(at_[m.input].values<T>()[m.element]);
    }));
}

int Line::proportional_scale() const {
  if (moves_.size() != 1 || from_[0] == 0) return 0;
  const double step = std::abs(kRelativeStep * from_[0] / moves_[0].by);
  // The element is infinite or no number, or so small that no step in proportion to it can be represented.
  if (!std::isfinite(step) || step == 0) return 0;
  return std::min(0, static_cast<int>(std::floor(std::log2(step))));
}

namespace {

/// The move rounded so that x plus and minus it, its half, its quarter, ... are exact in the tensor's
/// precision.
double exact_move(double x, double by, Dtype dtype) {
  const double largest = std::max(std::abs(x), std::abs(by)) * 2;
  const double ulp = visit_floating(dtype, [&]<class T> {
    const T from = static_cast<T>(largest);
    return static_cast<double>(std::nextafter(from, std::numeric_limits<T>::infinity()) - from);
  });
  const double grid = ulp * (1 << (Line::kWideSteps - 1));
  const double rounded = std::round(by / grid) * grid;
  return rounded != 0 ? rounded : std::copysign(grid, by);
}

}  // namespace

template <class F>
auto Line::at_step(const std::vector<double>& by, double t, F&& f) {
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
  try {
    auto r = f();
    put([&](std::size_t k) { return from_[k]; });
    return r;
  } catch (...) {
    put([&](std::size_t k) { return from_[k]; });
    throw;
  }
}

std::vector<double> Line::results_at(const std::vector<double>& by, double t) {
  return at_step(by, t, [&] {
    try {
      return to_doubles(problem_.evaluate(at_));
    } catch (const ArgumentError&) {  // a step out of the domain: there is no value
      return std::vector<double>(base_.values.size(), std::numeric_limits<double>::quiet_NaN());
    }
  });
}

bool Line::decides_otherwise(int scale) {
  if (!branches_) branches_ = problem_.branches(at_);
  if (branches_->empty()) return false;
  const Window& w = window(scale);
  for (const double t : {1.0, -1.0})
    if (at_step(w.by, t, [&] { return problem_.branches(at_); }) != *branches_) return true;
  return false;
}

bool Line::steps_over_kink(int scale) {
  return scale > kSmallestScale && decides_otherwise(scale) && !decides_otherwise(kSmallestScale);
}

const Line::Window& Line::window(int scale) {
  const auto [entry, fresh] = windows_.try_emplace(scale);
  Window& w = entry->second;
  if (!fresh) return w;
  for (std::size_t k = 0; k < moves_.size(); ++k)
    w.by.push_back(exact_move(from_[k], std::ldexp(moves_[k].by, scale), at_[moves_[k].input].dtype()));
  double t = 1;
  for (std::size_t l = 0; l < (scale > 0 ? kWideSteps : kSteps); ++l, t /= 2) {
    w.plus.push_back(results_at(w.by, t));
    w.minus.push_back(results_at(w.by, -t));
  }
  return w;
}

const Line::Roughness& Line::roughness(int scale) {
  const auto [entry, fresh] = roughness_.try_emplace(scale);
  Roughness& r = entry->second;
  if (!fresh) return r;
  // A part of the step that the moves are exact for.
  constexpr double kStep = 1.0 / (1 << (kWideSteps - 1));
  std::vector<std::vector<double>> d;
  for (int i = -4; i <= 4; ++i) d.push_back(i == 0 ? base_.values : results_at(window(scale).by, i * kStep));
  for (int order = 1; order <= 6; ++order) {
    for (std::size_t i = 0; i + 1 < d.size(); ++i)
      for (std::size_t j = 0; j < d[i].size(); ++j) d[i][j] = d[i + 1][j] - d[i][j];
    d.pop_back();
    if (order == 5) r.fifth = d;
  }
  r.sixth = std::move(d);
  return r;
}

double Line::measured_rounding(const Row& row, int scale, const std::vector<bool>& changes) {
  const Roughness& r = roughness(scale);
  // Independent errors of variance 1 have k-th differences of variance (2k)! / (k!)^2.
  const auto deviation = [&](const std::vector<std::vector<double>>& differences, double variance) {
    double sum = 0;
    for (const std::vector<double>& d : differences) {
      double x = 0;
      if (row.element >= 0)
        x = d[static_cast<std::size_t>(row.element)];
      else
        for (std::size_t j = 0; j < d.size(); ++j)
          if (changes[j]) x += row.weights[j] * d[j];
      sum = std::hypot(sum, x);
    }
    return sum / std::sqrt(variance * static_cast<double>(differences.size()));
  };
  return std::max(deviation(r.fifth, 252), deviation(r.sixth, 924));
}

std::vector<Line::Change> Line::changes() {
  const Window& w = window(0);
  const Roughness& r = roughness(0);
  std::vector<Change> all(base_.values.size());
  for (std::size_t j = 0; j < all.size(); ++j) {
    all[j].size = std::abs(w.plus[0][j] - w.minus[0][j]);
    for (const std::vector<double>& d : r.fifth) all[j].rounding = std::max(all[j].rounding, std::abs(d[j]));
  }
  return all;
}

std::vector<bool> Line::unchanged() {
  std::vector<bool> still(base_.values.size(), true);
  for (const int scale : {0, proportional_scale(), kWider.front(), kWider.back()}) {
    const Window& w = window(scale);
    for (const auto* side : {&w.plus, &w.minus})
      for (const std::vector<double>& results : *side)
        for (std::size_t j = 0; j < results.size(); ++j)
          if (results[j] != base_.values[j]) still[j] = false;
  }
  return still;
}

namespace {

/// Differences of one row at each step of a window.
struct Differences {
  using Steps = std::array<double, Line::kWideSteps>;
  std::size_t count = 0;
  Steps central{}, second{}, right{}, left{}, noise{}, hidden{};
  std::array<long double, Line::kWideSteps>
      noise_squared{};  // of results near 1e-300 no double could hold it
};

struct Extrapolated {
  double value;
  double error;
};

/// Richardson's extrapolation to step 0 from steps halved each time, where the error is a series in h^first,
/// h^(first + stride), ... Ridders' error estimate: how far an entry lies from those it was made of.
Extrapolated extrapolate(const Differences& from, const Differences::Steps& d, int first, int stride) {
  std::array<Differences::Steps, Line::kWideSteps> t{};
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

/// A smooth function's second difference halves with the step; a kink's stays, a pole's or a wave's does as it likes.
void judge_second_differences(const Differences& d, double allowed, Estimate& e) {
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
  const Window& w = window(scale);
  Differences d;
  d.count = w.plus.size();
  std::vector<bool> changed(row.element >= 0 ? 0 : base_.values.size());  // of a weighted sum
  Estimate e;
  const auto include = [&](std::size_t j, double weight) {
    const double b = base_.values[j];
    bool changes = false;
    for (std::size_t l = 0; l < d.count; ++l) changes |= !(w.plus[l][j] == b && w.minus[l][j] == b);
    if (!changed.empty()) changed[j] = changes;
    e.moved |= !(w.plus.back()[j] == b && w.minus.back()[j] == b);
    e.size = std::max(
        {e.size, std::abs(weight * b), std::abs(weight * w.plus[0][j]), std::abs(weight * w.minus[0][j])});
    double h = 1;
    for (std::size_t l = 0; l < d.count; ++l, h /= 2) {
      if (!changes) {
        d.hidden[l] += std::abs(weight * base_.epsilon[j] * b) / h;
        continue;
      }
      const double p = w.plus[l][j], m = w.minus[l][j];
      d.central[l] += weight * (p - m) / (2 * h);
      d.right[l] += weight * (p - b) / h;
      d.left[l] += weight * (b - m) / h;
      const double ulps = weight * base_.epsilon[j] * (std::abs(p) + std::abs(m)) / (2 * h);
      d.noise_squared[l] += static_cast<long double>(ulps) * ulps;  // the results' errors are independent
    }
  };
  if (row.element >= 0)
    include(static_cast<std::size_t>(row.element), 1);
  else
    for (std::size_t j = 0; j < base_.values.size(); ++j) include(j, row.weights[j]);
  double h = 1, inner = 0, allowed = kInnerRounding;
  if (rounding == Rounding::measured) {
    inner = 2 * measured_rounding(row, scale, changed);
    if (!std::isfinite(inner)) return {};
    allowed = 16;
  }
  for (std::size_t l = 0; l < d.count; ++l, h /= 2) {
    d.noise[l] = (row.element >= 0 ? 1 : 2) * static_cast<double>(std::sqrt(d.noise_squared[l])) + inner / h;
    d.second[l] = d.right[l] - d.left[l];
    if (!std::isfinite(d.central[l]) || !std::isfinite(d.second[l])) return {};
  }

  Extrapolated best = extrapolate(d, d.central, 2, 2);
  // Where only the second derivative jumps, the error is a series in all powers.
  if (const Extrapolated all = extrapolate(d, d.central, 1, 1); all.error < best.error) best = all;

  e.finite = true;
  e.rounding = inner;
  e.value = best.value;
  e.uncertainty = best.error;
  e.noise = 2 * d.noise[d.count - 1];
  e.hidden = d.hidden[d.count - 1];
  e.right = extrapolate(d, d.right, 1, 1).value;
  e.left = extrapolate(d, d.left, 1, 1).value;

  judge_second_differences(d, allowed, e);
  return e;
}

}  // namespace tapegrad::gradcheck::detail
