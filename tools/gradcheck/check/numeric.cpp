#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <tapegrad/gradcheck/check/numeric.h>
#include <tapegrad/graph/errors.h>

namespace tapegrad::gradcheck::detail {

constexpr double kRelativeStep = 0x1p-7;

double natural_step(double x, double max_step) {
  // What is not finite stays where it is after a finite step: there the function is seen to be constant.
  const double size = std::isfinite(x) ? std::max(std::abs(x), 0.5) : 0.5;
  return std::min(kRelativeStep * size, 0.25 * max_step);
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
  if (!std::isfinite(x)) return by;  // what is not finite has no neighbours
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
void Line::at_step(const Doubles& by, double t, F&& f) {
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
    f();
  } catch (...) {
    put([&](std::size_t k) { return from_[k]; });
    throw;
  }
  put([&](std::size_t k) { return from_[k]; });
}

template <class F>
void Line::with_results(const Doubles& by, double t, F&& take) {
  at_step(by, t, [&] {
    std::vector<Tensor> results;
    try {
      results = problem_.evaluate(at_);
    } catch (const ArgumentError&) {  // a step out of the domain: there is no value
      const Doubles none(base_.values.size(), std::numeric_limits<double>::quiet_NaN());
      return take(0, std::span(none));
    }
    // Before the elements are put back, as a result may be a view of them.
    std::size_t first = 0;
    for (const Tensor& r : results) {
      visit_dtype(r.dtype(), [&]<class T> { take(first, r.values<T>()); });
      first += static_cast<std::size_t>(r.size());
    }
  });
}

Doubles Line::results(double t) {
  Doubles all(base_.values.size());
  with_results(window(0).by, t, [&]<class T>(std::size_t first, std::span<const T> some) {
    for (std::size_t i = 0; i < some.size(); ++i) all[first + i] = static_cast<double>(some[i]);
  });
  return all;
}

Line::Differing Line::differing(const Doubles& by, std::span<const double> points) {
  const Doubles& base = base_.values;
  Differing all;
  std::vector<Places> places;  // of each point's own results
  std::vector<std::uint8_t, tapegrad::detail::PoolAllocator<std::uint8_t>> differs(base.size());
  for (const double t : points) {
    const std::size_t expected = places.empty() ? 0 : places.back().size();
    Places& which = places.emplace_back();
    Doubles& values = all.at.emplace_back();
    which.reserve(expected), values.reserve(expected);
    with_results(by, t, [&]<class T>(std::size_t first, std::span<const T> some) {
      constexpr std::size_t kBlock = 64;  // most change nowhere
      for (std::size_t i = 0; i < some.size(); i += kBlock) {
        const std::span<const T> block = some.subspan(i, std::min(kBlock, some.size() - i));
        const double* usual = base.data() + first + i;
        bool any = false;
        for (std::size_t k = 0; k < block.size(); ++k) any |= static_cast<double>(block[k]) != usual[k];
        for (std::size_t k = 0; any && k < block.size(); ++k) {
          const auto x = static_cast<double>(block[k]);
          if (x != usual[k]) which.push_back(first + i + k), values.push_back(x), differs[first + i + k] = 1;
        }
      }
    });
  }
  for (std::size_t j = 0; j < base.size(); ++j)
    if (differs[j]) all.which.push_back(j);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (places[i].size() == all.which.size()) continue;
    Doubles values(all.which.size());
    for (std::size_t k = 0, own = 0; k < values.size(); ++k) {
      const bool given = own < places[i].size() && places[i][own] == all.which[k];
      values[k] = given ? all.at[i][own++] : base[all.which[k]];
    }
    all.at[i] = std::move(values);
  }
  return all;
}

bool Line::decides_otherwise(int scale) {
  if (!branches_) branches_ = problem_.branches(at_);
  if (branches_->empty()) return false;
  const Doubles by = moves_at(scale);
  bool otherwise = false;
  for (const double t : {1.0, -1.0})
    at_step(by, t, [&] { otherwise |= problem_.branches(at_) != *branches_; });
  return otherwise;
}

bool Line::steps_over_kink(int scale) {
  return scale > kSmallestScale && decides_otherwise(scale) && !decides_otherwise(kSmallestScale);
}

Doubles Line::moves_at(int scale) const {
  Doubles by;
  for (std::size_t k = 0; k < moves_.size(); ++k)
    by.push_back(exact_move(from_[k], std::ldexp(moves_[k].by, scale), at_[moves_[k].input].dtype()));
  return by;
}

const Line::Window& Line::window(int scale) {
  const auto [entry, fresh] = windows_.try_emplace(scale);
  Window& w = entry->second;
  if (!fresh) return w;
  w.by = moves_at(scale);
  Doubles points;
  double t = 1;
  for (std::size_t l = 0; l < (scale > 0 ? kWideSteps : kSteps); ++l, t /= 2)
    points.insert(points.end(), {t, -t});
  w.results = differing(w.by, points);
  return w;
}

const Line::Roughness& Line::roughness(int scale) {
  const auto [entry, fresh] = roughness_.try_emplace(scale);
  Roughness& r = entry->second;
  if (!fresh) return r;
  // A part of the step that the moves are exact for.
  constexpr double kStep = 1.0 / (1 << (kWideSteps - 1));
  constexpr std::array kPoints{-4 * kStep, -3 * kStep, -2 * kStep, -kStep,
                               kStep,      2 * kStep,  3 * kStep,  4 * kStep};
  Differing results = differing(moves_at(scale), kPoints);
  r.which = std::move(results.which);
  for (std::size_t k = 0; k < r.which.size(); ++k)
    r.change.push_back(std::abs(results.at.back()[k] - results.at.front()[k]));
  Doubles middle;
  for (const std::size_t j : r.which) middle.push_back(base_.values[j]);
  std::vector<Doubles>& d = results.at;
  d.insert(d.begin() + 4, std::move(middle));
  for (int order = 1; order <= 6; ++order) {
    for (std::size_t i = 0; i + 1 < d.size(); ++i)
      for (std::size_t k = 0; k < d[i].size(); ++k) d[i][k] = d[i + 1][k] - d[i][k];
    d.pop_back();
    if (order == 5) r.fifth = d;
  }
  r.sixth = std::move(d);
  return r;
}

double Line::measured_rounding(const Row& row, int scale) {
  if (!std::isfinite(base_.value(row)) && row.element >= 0) return std::numeric_limits<double>::infinity();
  const Roughness& r = roughness(scale);
  const Places& changed = window(scale).results.which;
  struct Part {
    std::size_t place;
    double weight;
  };
  std::vector<Part> parts;
  for (std::size_t k = 0, in_window = 0; k < r.which.size(); ++k) {
    const std::size_t j = r.which[k];
    if (row.element >= 0) {
      if (j == static_cast<std::size_t>(row.element)) parts.push_back({k, 1});
      continue;
    }
    while (in_window < changed.size() && changed[in_window] < j) ++in_window;
    if (in_window < changed.size() && changed[in_window] == j) parts.push_back({k, row.weights[j]});
  }
  // Independent errors of variance 1 have k-th differences of variance (2k)! / (k!)^2.
  const auto deviation = [&](const std::vector<Doubles>& differences, double variance) {
    double sum = 0;
    for (const Doubles& d : differences) {
      double x = 0;
      for (const Part& p : parts) x += p.weight * d[p.place];
      sum = std::hypot(sum, x);
    }
    return sum / std::sqrt(variance * static_cast<double>(differences.size()));
  };
  return std::max(deviation(r.fifth, 252), deviation(r.sixth, 924));
}

std::vector<Line::Change> Line::changes() {
  const Roughness& r = roughness(0);
  std::vector<Change> all(base_.values.size());
  for (std::size_t k = 0; k < r.which.size(); ++k) all[r.which[k]].size = r.change[k];
  for (const Doubles& d : r.fifth)
    for (std::size_t k = 0; k < d.size(); ++k) {
      double& rounding = all[r.which[k]].rounding;
      rounding = std::max(rounding, std::abs(d[k]));
    }
  return all;
}

std::vector<bool> Line::unchanged() {
  std::vector<bool> still(base_.values.size(), true);
  const auto leave_out = [&](const Differing& d) {
    for (const std::size_t j : d.which) still[j] = false;
  };
  leave_out(window(0).results);
  if (const int p = proportional_scale(); p != 0) leave_out(window(p).results);
  constexpr std::array kEnds{1.0, -1.0};
  for (const int scale : kWider) leave_out(differing(moves_at(scale), kEnds));
  return still;
}

}  // namespace tapegrad::gradcheck::detail
