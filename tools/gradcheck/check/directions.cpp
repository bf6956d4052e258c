#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include <tapegrad/gradcheck/check/directions.h>

namespace tapegrad::gradcheck::detail {

namespace {

const std::string kAll = "all inputs";

/// Of numbers that are not zero; 0 where there are none.
double median(Doubles x) {
  std::erase(x, 0);
  if (x.empty()) return 0;
  const auto middle = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
  std::ranges::nth_element(x, middle);
  return *middle;
}

// The sizes of moves differ by little, so that all elements weigh alike.
constexpr double kWidth = 0.25;

/// The tolerance of a sum of n terms that is to show one of hundreds wrong in its sixth digit.
double strict_tolerance(double rtol, std::size_t n) {
  return rtol * std::clamp(50.0 / static_cast<double>(n), 0.01, 1.0);
}

}  // namespace

Doubles Directions::scales() {
  const std::size_t n = jacobian_.base().values.size();
  Doubles scales(n, 1);
  if (n < 2) return scales;
  std::vector<Line::Move> moves;
  for (std::size_t k = 0; k < jacobian_.grad_inputs().size(); ++k) {
    const Doubles x = to_doubles(jacobian_.value(k));
    const Doubles by = random_weights(x.size(), kWidth, session_.generator);
    for (std::size_t e = 0; e < x.size(); ++e)
      moves.push_back(
          {jacobian_.grad_inputs()[k], e, by[e] * possible_step(x[e], jacobian_.input(k).max_step)});
  }
  if (moves.empty()) return scales;
  const Pause pause;
  Line line(jacobian_.problem(), jacobian_.at(), jacobian_.base(), std::move(moves));
  const std::vector<Line::Change> changes = line.changes();
  double largest = 0;
  for (const Line::Change& c : changes)
    if (std::isfinite(c.size)) largest = std::max(largest, c.size);
  for (std::size_t j = 0; j < n; ++j) {
    const Line::Change& c = changes[j];
    if (!(c.size > 0) || !std::isfinite(c.size) || !std::isfinite(c.rounding)) continue;
    // Not so large that a result's rounding would weigh as well.
    double scale = std::min({largest / c.size, 0x1p60, 1e-12 * largest / std::max(c.rounding, 1e-300)});
    const double value = std::abs(jacobian_.base().values[j]);
    scale = std::min(scale, 1e-12 * largest / std::max(jacobian_.base().epsilon[j] * value, 1e-300));
    scales[j] = std::max(1.0, scale);
  }
  return scales;
}

void Directions::add_rows() {
  first_row_ = jacobian_.rows().size();
  const Doubles scale = scales();
  std::vector<Row> rows(static_cast<std::size_t>(session_.options.directions));
  for (Row& row : rows) {
    row.weights = random_weights(scale.size(), 1, session_.generator);
    for (std::size_t j = 0; j < scale.size(); ++j) row.weights[j] *= scale[j];
  }
  jacobian_.add(std::move(rows));
}

void Directions::run() {
  const std::size_t inputs = jacobian_.grad_inputs().size();
  for (std::size_t row = first_row_; row < jacobian_.rows().size() && !session_.decided(); ++row) {
    if (inputs > 1 && !session_.size_alone)
      for (std::size_t k = 0; k < inputs; ++k) check(row, k, k + 1);
    check(row, 0, inputs);
  }
}

void Directions::check(std::size_t row, std::size_t first, std::size_t last) {
  std::vector<Doubles> slopes(jacobian_.rules().size());
  for (std::size_t k = first; k < last; ++k)
    for (std::size_t r = 0; r < slopes.size(); ++r) {
      const Doubles& all = jacobian_.gradient(r, row, k);
      slopes[r].insert(slopes[r].end(), all.begin(), all.end());
    }
  if (slopes.empty() || slopes[0].empty()) return;
  const std::vector<Line::Move> usual = moves(row, first, last, natural_step);
  Line line(jacobian_.problem(), jacobian_.at(), jacobian_.base(), usual);
  std::optional<Line> closer;
  for (std::size_t r = 0; r < slopes.size(); ++r) {
    Comparison c = compare(line, row, r, first, last, slopes[r]);
    if (c.verdict == Verdict::inconclusive) {
      // Some element may be too near the end of the function's domain.
      if (!closer)
        closer.emplace(jacobian_.problem(), jacobian_.at(), jacobian_.base(),
                       moves(row, first, last, possible_step));
      c = compare(*closer, row, r, first, last, slopes[r]);
    } else if (c.kinked) {
      c = at_kink(c, row, slopes[r], usual, last - first > 1 ? 0.25 : 1e-6);
    }
    // Where each element is compared by itself, a direction adds what no single one shows.
    if (to_.full() && (c.verdict != Verdict::fail || to_.failed())) continue;
    to_.record(c, jacobian_.rules()[r], last - first > 1 ? kAll : jacobian_.input(first).name,
               [](Finding& f) { f.index = ", random direction"; });
  }
}

/// Each element moves by a random multiple of its step in the direction that the gradient points to, so that
/// the parts of the derivative do not cancel; less far where its part would outweigh the others.
std::vector<Line::Move> Directions::moves(std::size_t row, std::size_t first, std::size_t last,
                                          double (&step)(double, double)) {
  std::vector<Line::Move> moves;
  Doubles parts;
  for (std::size_t k = first; k < last; ++k) {
    const Doubles x = to_doubles(jacobian_.value(k));
    const Doubles& g = jacobian_.gradient(0, row, k);
    const Doubles weights = random_weights(x.size(), kWidth, session_.generator);
    for (std::size_t e = 0; e < x.size(); ++e) {
      const double by = weights[e] * 0.5 * step(x[e], jacobian_.input(k).max_step);
      moves.push_back({jacobian_.grad_inputs()[k], e, g[e] != 0 ? std::copysign(by, g[e]) : by});
      parts.push_back(std::isfinite(g[e]) ? std::abs(g[e] * by) : 0);
    }
  }
  if (const double usual = median(parts); usual > 0)
    for (std::size_t i = 0; i < moves.size(); ++i)
      if (parts[i] > 4 * usual) moves[i].by *= 4 * usual / parts[i];
  return moves;
}

Comparison Directions::compare(Line& line, std::size_t row, std::size_t rule, std::size_t first,
                               std::size_t last, const Doubles& slopes) {
  const auto rounding = [&](std::span<const double> by) {
    double largest = 0;
    for (const Jacobian::Gradient& g : jacobian_.nearby(rule, row)) {
      double sum = 0;
      for (std::size_t k = first, i = 0; k < last; ++k)
        for (const double x : g[k]) sum += (x - slopes[i]) * by[i], ++i;
      if (std::isfinite(sum)) largest = std::max(largest, std::abs(sum));
    }
    return largest;
  };
  const double rtol = session_.options.rtol, size = std::sqrt(static_cast<double>(slopes.size()));
  return compare_derivative(line, jacobian_.rows()[row],
                            {.slopes = slopes,
                             .rounding = rounding,
                             .value_rounding = [&] { return jacobian_.value_rounding(row); },
                             .rtol = rtol,
                             .strict = strict_tolerance(rtol, slopes.size()),
                             .step = 1,  // a direction is measured in steps of its elements
                             .largest = size * jacobian_.largest(row),
                             .most_rounding = size * jacobian_.most_rounding()});
}

namespace {

/// What the one-sided derivatives of a weighted sum leave open: each result may take either side.
struct Interval {
  double low = 0, high = 0;
  void add(double a, double b) { low += std::min(a, b), high += std::max(a, b); }
  bool contains(double x, double tolerance = 1e-6) const {
    const double slack = 0.01 * (high - low) + tolerance * std::max(std::abs(low), std::abs(high));
    return low - slack <= x && x <= high + slack;
  }
};

/// One-sided derivatives of each result along moves.
struct Sides {
  Doubles right, left;

  Interval interval(const Doubles& weights) const {
    Interval all;
    for (std::size_t j = 0; j < right.size(); ++j) all.add(weights[j] * right[j], weights[j] * left[j]);
    return all;
  }
};

Sides sides_along(Jacobian& jacobian, std::vector<Line::Move> moves, double scale) {
  const Doubles& base = jacobian.base().values;
  Line line(jacobian.problem(), jacobian.at(), jacobian.base(), std::move(moves));
  Sides s{line.results(scale), line.results(-scale)};
  for (std::size_t j = 0; j < base.size(); ++j) {
    s.right[j] = (s.right[j] - base[j]) / scale;
    s.left[j] = (base[j] - s.left[j]) / scale;
  }
  return s;
}

/// The sum of one-sided derivatives along the moves of single elements.
class SumOfSides {
 public:
  explicit SumOfSides(std::size_t results) : sum_{Doubles(results), Doubles(results)}, size_(results) {}
  void add(const Sides& one) {
    for (std::size_t j = 0; j < size_.size(); ++j) {
      sum_.right[j] += one.right[j];
      sum_.left[j] += one.left[j];
      size_[j] += std::abs(one.right[j]) + std::abs(one.left[j]);
    }
  }
  /// Whether it is what all moves together give.
  bool is(const Sides& together) const {
    for (std::size_t j = 0; j < size_.size(); ++j)
      if (std::abs(sum_.right[j] - together.right[j]) + std::abs(sum_.left[j] - together.left[j]) >
          0.01 * size_[j])
        return false;
    return true;
  }

 private:
  Sides sum_;
  Doubles size_;
};

/// The same comparison, with a change that lies outside of the interval.
Comparison outside(Comparison found, double change, const Interval& interval) {
  found.verdict = Verdict::fail;
  found.analytic = change;
  found.numeric = std::clamp(change, interval.low, interval.high);
  found.uncertainty = interval.high - interval.low;
  return found;
}

}  // namespace

/// A derivative must lie between the one-sided ones, of each result by itself. Elements without a gradient
/// are not moved, as zero is a convention at many kinks. Where the elements' one-sided derivatives add up to
/// those of the direction, each element has a kink of its own, and must satisfy the same; where they do not,
/// as for elements that are the largest together, the direction says what no single element can.
Comparison Directions::at_kink(Comparison found, std::size_t row, const Doubles& slopes,
                               std::vector<Line::Move> moves, double tolerance) {
  constexpr std::size_t kMostElements = 1024;
  const Doubles& weights = jacobian_.rows()[row].weights;
  const double scale = found.step / 16;
  Doubles changes;  // by the gradient
  for (std::size_t i = 0; i < moves.size(); ++i)
    if (slopes[i] != 0) moves[changes.size()] = moves[i], changes.push_back(slopes[i] * moves[i].by);
  moves.resize(changes.size());
  found.verdict = Verdict::kink;
  if (moves.empty()) return found;

  const double change = std::accumulate(changes.begin(), changes.end(), 0.0);
  const Sides together = sides_along(jacobian_, moves, scale);
  const Interval all = together.interval(weights);
  if (all.contains(change, tolerance)) return found;
  if (moves.size() > kMostElements) {
    found.verdict = Verdict::inconclusive;
    return found;
  }
  SumOfSides sum(together.right.size());
  std::vector<Interval> each;
  for (const Line::Move& move : moves) {
    const Sides one = sides_along(jacobian_, {move}, scale);
    each.push_back(one.interval(weights));
    sum.add(one);
  }
  if (!sum.is(together)) return outside(found, change, all);
  for (std::size_t i = 0; i < moves.size(); ++i)
    if (!each[i].contains(changes[i])) return outside(found, changes[i], each[i]);
  return found;
}

}  // namespace tapegrad::gradcheck::detail
