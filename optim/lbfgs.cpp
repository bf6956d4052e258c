#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/optim/lbfgs.h>

#include <fmt/format.h>

namespace tapegrad::optim {

namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
void add_to(Vector& sum, double factor, const Vector& x) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * x[i];
}
double largest(const Vector& x) {
  double m = 0;  // a NaN is passed on
  for (const double v : x) m = m >= std::abs(v) ? m : std::abs(v);
  return m;
}

void validate(const LbfgsOptions& o) {
  if (o.iterations < 0)
    throw ArgumentError(fmt::format("lbfgs: {} iterations; 0 is the least", o.iterations));
  if (o.memory < 1)
    throw ArgumentError(fmt::format("lbfgs: a memory of {} iterations; 1 is the least", o.memory));
  if (!(o.tolerance >= 0))
    throw ArgumentError(fmt::format("lbfgs: the tolerance is {}; it must not be negative", o.tolerance));
  if (!(0 < o.decrease && o.decrease < o.curvature && o.curvature < 1))
    throw ArgumentError(fmt::format("lbfgs: decrease is {} and curvature {}; 0 < decrease < curvature < 1",
                                    o.decrease, o.curvature));
}

/// What the last steps tell about the inverse Hessian.
class Memory {
 public:
  explicit Memory(std::int64_t length) : length_(static_cast<std::size_t>(length)) {}

  bool empty() const { return steps_.empty(); }
  void clear() { steps_.clear(); }
  /// A step s by which the gradient has changed by y. One along which the slope has not grown says nothing.
  void add(Vector s, Vector y) {
    const double sy = dot(s, y), yy = dot(y, y);
    if (!(sy > 1e-14 * std::sqrt(dot(s, s)) * std::sqrt(yy))) return;
    if (steps_.size() == length_) steps_.pop_front();
    steps_.push_back({std::move(s), std::move(y), 1 / sy});
    scale_ = sy / yy;
  }
  /// -H g.
  Vector direction(const Vector& g) const {
    Vector d = g;
    Vector a(steps_.size());
    for (std::size_t i = steps_.size(); i-- > 0;) {
      a[i] = steps_[i].rho * dot(steps_[i].s, d);
      add_to(d, -a[i], steps_[i].y);
    }
    const double factor = steps_.empty() ? -1 : -scale_;
    for (double& x : d) x *= factor;
    for (std::size_t i = 0; i < steps_.size(); ++i)
      add_to(d, -a[i] - steps_[i].rho * dot(steps_[i].y, d), steps_[i].s);
    return d;
  }

 private:
  struct Step {
    Vector s, y;
    double rho;  ///< 1 / (s y)
  };
  std::deque<Step> steps_;
  std::size_t length_;
  double scale_ = 1;
};

/// A point of the ray, at so much of the direction.
struct Trial {
  double t = 0;
  double value = 0;
  double slope = 0;

  bool finite() const { return std::isfinite(value) && std::isfinite(slope); }
};

/// Where the cubic through both points with these slopes is lowest; the middle where that is near one of them or none.
double between(const Trial& a, const Trial& b) {
  const double middle = 0.5 * (a.t + b.t);
  if (!a.finite() || !b.finite()) return middle;
  const double d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t);
  const double square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return middle;
  const double d2 = std::copysign(std::sqrt(square), b.t - a.t);
  const double t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2));
  const auto [lo, hi] = std::minmax(a.t, b.t);
  const double margin = 0.1 * (hi - lo);
  return t >= lo + margin && t <= hi - margin ? t : middle;
}

class Search {
 public:
  Search(const detail::Evaluate& f, Vector& x, const LbfgsOptions& options)
      : f_(f), options_(options), x_(x) {
    gradient_.resize(x.size());
    value_ = evaluate();
    if (!std::isfinite(value_) || !std::isfinite(largest(gradient_)))
      throw NonFinite(fmt::format(
          "lbfgs: at the start the value is {}, the gradient's largest element {}; start where both are "
          "finite",
          value_, largest(gradient_)));
  }

  Minimum run() {
    Minimum m;
    Memory memory(options_.memory);
    for (;; ++m.iterations) {
      m.gradient_norm = largest(gradient_);
      if (m.gradient_norm <= options_.tolerance) {
        m.outcome = Outcome::converged;
        break;
      }
      if (m.iterations == options_.iterations) {
        m.outcome = Outcome::ran;
        break;
      }
      if (!step(memory)) {
        m.outcome = unbounded_ ? Outcome::diverged : Outcome::did_not_move;
        break;
      }
    }
    m.value = value_;
    m.evaluations = evaluations_;
    m.message = message(m);
    return m;
  }

 private:
  double evaluate() {
    ++evaluations_;
    return f_(x_, gradient_);
  }

  /// One step, or false where none lowers the value.
  bool step(Memory& memory) {
    const Vector start = x_, gradient = gradient_;
    const double value = value_;
    for (;;) {
      Vector d = memory.direction(gradient);
      double slope = dot(gradient, d);
      if (!(slope < 0) && !memory.empty()) {  // rounding has spoilt the memory
        memory.clear();
        continue;
      }
      // Without a memory the gradient's length says nothing about the way.
      const double first = memory.empty() ? std::min(1.0, 1 / largest(gradient)) : 1;
      const std::optional<Trial> found = search(start, d, {0, value, slope}, first);
      if (found) {
        value_ = found->value;
        Vector s = x_, y = gradient_;
        add_to(s, -1, start);
        add_to(y, -1, gradient);
        memory.add(std::move(s), std::move(y));
        return true;
      }
      x_ = start;
      gradient_ = gradient;
      value_ = value;
      if (unbounded_ || memory.empty()) return false;
      memory.clear();
    }
  }

  Trial at(const Vector& start, const Vector& d, double t) {
    for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = start[i] + t * d[i];
    const double value = evaluate();
    if (value == -std::numeric_limits<double>::infinity()) unbounded_ = true;
    return {t, value, dot(gradient_, d)};
  }

  bool falls(const Trial& from, const Trial& to) const {
    return to.value <= from.value + options_.decrease * to.t * from.slope;
  }
  /// Whether the value is to fall by so little that rounding may hide it.
  bool hides_fall(const Trial& from, const Trial& to) const {
    const double rounding = 8 * std::numeric_limits<double>::epsilon() * std::abs(from.value);
    return to.finite() && std::abs(to.value - from.value) <= rounding &&
           -options_.decrease * to.t * from.slope <= rounding;
  }
  bool accepts(const Trial& from, const Trial& to) const {
    if (!to.finite()) return false;
    if (falls(from, to)) return std::abs(to.slope) <= -options_.curvature * from.slope;
    // Where the values differ by rounding alone, their slopes tell (Hager, Zhang, SIAM Journal on Optimization 16,
    // 2005).
    return to.value <= from.value + 1e-10 * std::abs(from.value) &&
           to.slope >= options_.curvature * from.slope &&
           to.slope <= (2 * options_.decrease - 1) * from.slope;
  }

  /// The point of the ray that Wolfe's conditions accept, where x and the gradient then are.
  std::optional<Trial> search(const Vector& start, const Vector& d, const Trial& from, double first) {
    constexpr int kMostTrials = 40;
    Trial low = from;           // the lowest so far that falls enough, as far as rounding shows it
    std::optional<Trial> high;  // behind it the value rises again
    int i = 0;
    for (; i < kMostTrials && !unbounded_; ++i) {
      const double t = high ? between(low, *high) : i == 0 ? first : 4 * low.t;
      if (t == low.t || !std::isfinite(t)) break;  // nothing lies between
      const Trial to = at(start, d, t);
      if (accepts(from, to)) return to;
      if (hides_fall(from, to)) {
        const bool low_is_left = !high || low.t < high->t;
        if ((to.slope < 0) == low_is_left)
          low = to;
        else
          high = to;
      } else if (!to.finite() || !falls(from, to) || (low.t > 0 && to.value >= low.value)) {
        high = to;
      } else {
        if (to.slope * ((high ? high->t : std::numeric_limits<double>::infinity()) - low.t) >= 0) high = low;
        low = to;
      }
    }
    // 10^23 times as far it falls as steeply as at first.
    if (i == kMostTrials && !high && low.slope <= 0.999 * from.slope && low.value < from.value)
      unbounded_ = true;
    if (unbounded_ || low.t == 0 || !(low.value < from.value)) return {};
    return at(start, d, low.t);  // lower, if not by as much as it should
  }

  std::string message(const Minimum& m) const {
    const std::string where = fmt::format(
        "after {} iterations and {} evaluations the value is {:.6g}, the gradient's "
        "largest element {:.6g}",
        m.iterations, m.evaluations, m.value, m.gradient_norm);
    switch (m.outcome) {
      case Outcome::converged:
        return "converged: " + where;
      case Outcome::ran:
        return fmt::format("ran: {}, above the tolerance of {:g}; more iterations may lead further", where,
                           options_.tolerance);
      case Outcome::diverged:
        return "diverged: " + where + "; from there the value falls without bound";
      default:
        return fmt::format(
            "did not move: {}, above the tolerance of {:g}; no step lowers the value: it is as near as "
            "rounding allows, or the gradient is not that of the function",
            where, options_.tolerance);
    }
  }

  const detail::Evaluate& f_;
  const LbfgsOptions& options_;
  Vector& x_;
  Vector gradient_;
  double value_ = 0;
  std::int64_t evaluations_ = 0;
  bool unbounded_ = false;
};

void copy_values(const Tensor& from, std::span<double> to) {
  visit_floating(from.dtype(), [&]<class T> { std::ranges::copy(from.values<T>(), to.begin()); });
}
void copy_values(std::span<const double> from, Tensor& to) {
  visit_floating(to.dtype(), [&]<class T> {
    std::ranges::transform(from, to.mutable_values<T>().begin(), [](double v) { return static_cast<T>(v); });
  });
}

}  // namespace

Minimum detail::minimise(const Evaluate& f, std::vector<double>& x, const LbfgsOptions& options) {
  validate(options);
  return Search(f, x, options).run();
}

TensorMinimum lbfgs(const TensorFunction& f, const Tensor& start, const LbfgsOptions& options) {
  const Pause pause;
  Tensor at = start.detach();
  std::vector<double> x(static_cast<std::size_t>(start.size()));
  const auto evaluate = [&](std::span<const double> values, std::span<double> gradient) {
    at = Tensor::empty(start.shape(), start.dtype());
    copy_values(values, at);
    const ValueAndGradient result = tapegrad::detail::value_and_gradient_of("lbfgs", f, at);
    copy_values(result.gradient, gradient);
    return result.value.item();
  };
  copy_values(start, x);
  const Minimum minimum = detail::minimise(evaluate, x, options);
  Tensor best = Tensor::empty(start.shape(), start.dtype());
  copy_values(x, best);
  return {minimum, best};
}

Minimum lbfgs(const ParameterList& parameters, const Callback<Tensor()>& loss, const LbfgsOptions& options) {
  std::vector<Parameter> free;  // each once
  std::size_t count = 0;
  for (const auto& [name, parameter] : parameters)
    if (!parameter.frozen() && std::ranges::find(free, parameter) == free.end()) {
      free.push_back(parameter);
      count += static_cast<std::size_t>(parameter.size());
    }
  if (free.empty()) throw ArgumentError("lbfgs: there is no parameter, or all are frozen");
  // part(parameter, begin) for each, where its elements begin among all.
  const auto for_each = [&](const auto& part) {
    std::size_t begin = 0;
    for (Parameter& parameter : free) {
      part(parameter, begin);
      begin += static_cast<std::size_t>(parameter.size());
    }
  };
  const auto assign = [&](std::span<const double> x) {
    for_each([&](Parameter& parameter, std::size_t begin) {
      Tensor value = parameter.data();
      copy_values(x.subspan(begin, static_cast<std::size_t>(parameter.size())), value);
    });
  };
  const auto evaluate = [&](std::span<const double> x, std::span<double> gradient) {
    assign(x);
    Tape tape;
    const Tensor y = loss();
    if (y.size() != 1)
      throw ShapeError(
          fmt::format("lbfgs: the loss has the shape {}; it must be one number", to_string(y.shape())));
    const Gradients gradients = tape.backward(y);
    std::ranges::fill(gradient, 0.0);
    for_each([&](const Parameter& parameter, std::size_t begin) {
      if (const Tensor* g = gradients.find(parameter)) copy_values(*g, gradient.subspan(begin));
    });
    return y.item();
  };
  std::vector<double> x(count);
  for_each([&](const Parameter& parameter, std::size_t begin) {
    copy_values(parameter.data(), std::span(x).subspan(begin));
  });
  const Minimum minimum = detail::minimise(evaluate, x, options);
  assign(x);
  return minimum;
}

}  // namespace tapegrad::optim
