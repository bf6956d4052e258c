#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <string>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/check.h>
#include <tapegrad/ops/functional/numeric.h>

#include <fmt/format.h>

namespace tapegrad {

namespace {

void require_step(const char* what, double h) {
  if (!(h > 0 && std::isfinite(h)))
    throw ArgumentError(fmt::format("{}: the step is {}; it must be positive and finite", what, h));
}

void require_finite(const char* what, double x) {
  if (!std::isfinite(x))
    throw NonFinite(
        fmt::format("{}: x is {}, where no derivative can be estimated; give a finite one", what, x));
}

/// Where rounding and curvature take about equal parts of the digits of a central difference.
template <class T>
double usual_step(T x) {
  return std::max(kDifferenceStep, std::cbrt(epsilon_of(dtype_of<T>)) * std::abs(static_cast<double>(x)));
}

/// T is the type in which x and its neighbours are held.
template <class T>
void require_step_beside(const char* what, T x, double h) {
  require_step(what, h);
  require_finite(what, static_cast<double>(x));
  const T up = static_cast<T>(x + h);
  const T down = static_cast<T>(x - h);
  if (up != x && down != x) return;
  const T spacing = std::nextafter(std::abs(x), std::numeric_limits<T>::infinity()) - std::abs(x);
  throw ArgumentError(fmt::format(
      "{}: the step {} vanishes beside x = {}: numbers of {} there lie {:.2g} apart, so that x + h is x and "
      "the difference zero, whatever the function. Take a step well above that; {:.2g} suits most functions "
      "there",
      what, h, x, name_of(dtype_of<T>), spacing, usual_step(x)));
}

}  // namespace

// ---- functions of one number ----

double forward_difference(const ScalarFunction& f, double x, double h) {
  require_step_beside("forward_difference", x, h);
  return (f(x + h) - f(x)) / h;
}

double central_difference(const ScalarFunction& f, double x, double h) {
  require_step_beside("central_difference", x, h);
  return (f(x + h) - f(x - h)) / (2 * h);
}

TangentLine tangent_line(const ScalarFunction& f, double x, double h) {
  require_step_beside("tangent_line", x, h);
  const double slope = central_difference(f, x, h);
  return {slope, f(x) - slope * x};
}

namespace {

constexpr std::size_t kSteps = 10;
/// A simple fraction would make slopes of rounded values equal by accident, such as 7 and 5 units of them at
/// 7 and 5 units of x: irrational.
constexpr double kShrink = std::numbers::sqrt2;

/// What f is on both sides of x, and how far apart the two points are.
struct Pair {
  double h, above, below;

  Pair(const ScalarFunction& f, double x, double step) {
    const double up = x + step;
    const double down = x - step;
    h = (up - down) / 2;  // as the points are represented
    above = f(up);
    below = f(down);
  }
  bool finite() const { return std::isfinite(above) && std::isfinite(below); }
  double slope() const { return (above - below) / (2 * h); }
  /// By how much the slopes on both sides differ.
  double bend(double at_x) const { return ((above - at_x) - (at_x - below)) / h; }
  /// What rounding does to the slope: that of the values, and that of numbers of the size of x on the way to
  /// them.
  double rounding(double at_x, double x) const {
    const double values = std::max({std::abs(above), std::abs(below), std::abs(at_x)});
    const double steepness = (std::abs(above - at_x) + std::abs(at_x - below)) / h;
    return std::numeric_limits<double>::epsilon() * (values + std::abs(x) * steepness) / h;
  }
};

constexpr const char* kRidders = "numerical_derivative";

/// Ridders' extrapolation from the pairs at this distance and nearer.
NumericalDerivative extrapolated(const ScalarFunction& f, double x, double at_x, const Pair& first) {
  // table[i][k]: from the steps i - k ... i, free of the error's terms in h^2 ... h^2k.
  std::array<std::array<double, kSteps>, kSteps> table{};
  table[0][0] = first.slope();
  NumericalDerivative best{first.slope(), std::numeric_limits<double>::infinity()};
  Pair p = first;
  for (std::size_t i = 1; i < kSteps; ++i) {
    p = Pair(f, x, first.h / std::pow(kShrink, static_cast<double>(i)));
    if (!p.finite())
      throw NonFinite(fmt::format("{}: the function is {} at x = {} and {} at x = {}", kRidders, p.below,
                                  x - p.h, p.above, x + p.h));
    table[i][0] = p.slope();
    double factor = 1;
    for (std::size_t k = 1; k <= i; ++k) {
      factor *= kShrink * kShrink;
      table[i][k] = table[i][k - 1] + (table[i][k - 1] - table[i - 1][k - 1]) / (factor - 1);
      const double error =
          std::max(std::abs(table[i][k] - table[i][k - 1]), std::abs(table[i][k] - table[i - 1][k - 1])) +
          p.rounding(at_x, x);
      if (error < best.error) best = {table[i][k], error};
    }
  }
  // The slopes on both sides of a smooth function approach each other with the step; at a kink they do not.
  const double bend = std::abs(p.bend(at_x));
  if (bend > 0.5 * std::abs(first.bend(at_x)) && bend > 1e3 * p.rounding(at_x, x))
    best.error = std::max(best.error, bend / 2);
  return best;
}

}  // namespace

NumericalDerivative numerical_derivative(const ScalarFunction& f, double x, double reach) {
  constexpr double kGood = 1e-8;    // of the derivative: no need to look nearer
  constexpr double kSettled = 0.1;  // of the derivative: it is known
  constexpr double kNearer = 7;     // no power of kShrink: other steps than those before
  const double span = std::pow(kShrink, kSteps);
  require_finite(kRidders, x);
  if (!(reach >= 0 && std::isfinite(reach)))
    throw ArgumentError(
        fmt::format("{}: the reach is {}; it must be positive and finite, or 0 for one in proportion to x",
                    kRidders, reach));
  if (reach == 0) reach = 0.1 * std::max(1.0, std::abs(x));
  if (x + reach / span == x || x - reach / span == x)
    throw ArgumentError(fmt::format(
        "{}: the reach {} vanishes beside x = {}: the steps become {:.3g} times smaller, and x + h "
        "is x. Take a larger one, or 0 for one in proportion to x",
        kRidders, reach, x, span));
  const double at_x = f(x);
  if (!std::isfinite(at_x))
    throw NonFinite(fmt::format("{}: the function is {} at x = {}", kRidders, at_x, x));

  NumericalDerivative best{0, std::numeric_limits<double>::infinity()};
  const auto within = [&](double share) { return best.error <= share * std::abs(best.value); };
  std::optional<NumericalDerivative> farther;  // the estimate before, which the next one confirms or not
  for (; x + reach / span != x; reach /= kNearer) {
    const Pair first(f, x, reach);
    if (!first.finite()) continue;  // beyond where f is defined, as a logarithm may be
    if (first.rounding(at_x, x) > best.error) break;
    const NumericalDerivative d = extrapolated(f, x, at_x, first);
    if (farther) {
      // An estimate that is itself uncertain by more than rounding explains confirms nothing.
      const double apart = std::abs(d.value - farther->value);
      const double doubt = std::min(d.error, 30 * first.rounding(at_x, x));
      if (apart > 3 * (farther->error + doubt)) farther->error = apart;
      if (farther->error < best.error) best = *farther;
      if (within(kGood)) return best;
      // f may be steeper than it seemed from afar. Where it is flatter, its values are those of a coarser
      // type.
      const bool flatter = std::abs(d.value) + 3 * (d.error + best.error) < std::abs(best.value);
      if (within(kSettled) && flatter) return best;
    }
    farther = d;
  }
  if (!farther)
    throw NonFinite(
        fmt::format("{}: the function is {} at x = {}, and not finite on both sides of it, however near",
                    kRidders, at_x, x));
  return farther->error < best.error ? *farther : best;
}

// ---- functions of tensors ----

namespace {

/// f at a copy of its inputs, one element of which is moved at a time.
class Differences {
 public:
  Differences(const char* what, const TensorFunction& f, const std::vector<Tensor>& inputs, double h)
      : what_(what), f_(f), h_(h) {
    require_step(what, h);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      detail::require_defined(what, inputs[i], {"input", i});
      inputs_.push_back(inputs[i].copy());
    }
  }

  double partial(std::size_t input, std::int64_t element) {
    return visit_floating(inputs_[input].dtype(), [&]<class T> {
      const T x = inputs_[input].values<T>()[static_cast<std::size_t>(element)];
      require_step_beside(what_, x, h_);
      const T up = static_cast<T>(x + h_);
      const T down = static_cast<T>(x - h_);
      const double above = value_with(input, element, up);
      const double below = value_with(input, element, down);
      put(input, element, x);
      // In less than double the points are rounded by a noticeable part of the step.
      constexpr bool rounded = epsilon_of(dtype_of<T>) > epsilon_of(f64);
      const double distance = rounded ? static_cast<double>(up) - static_cast<double>(down) : 2 * h_;
      return (above - below) / distance;
    });
  }

  Tensor gradient(std::size_t input) {
    const Tensor& x = inputs_[input];
    Tensor g = Tensor::empty(x.shape(), x.dtype());
    visit_floating(x.dtype(), [&]<class T> {
      const std::span<T> to = g.mutable_values<T>();
      for (std::int64_t i = 0; i < x.size(); ++i)
        to[static_cast<std::size_t>(i)] = static_cast<T>(partial(input, i));
    });
    return g;
  }

 private:
  template <class T>
  void put(std::size_t input, std::int64_t element, T value) {
    inputs_[input].mutable_values<T>()[static_cast<std::size_t>(element)] = value;
  }
  template <class T>
  double value_with(std::size_t input, std::int64_t element, T value) {
    put(input, element, value);
    const Tensor y = f_(inputs_);
    if (!y.defined() || y.size() != 1)
      throw ShapeError(
          fmt::format("{}: the function's result {}; it must have one element", what_,
                      y.defined() ? "has shape " + to_string(y.shape()) : "is an undefined tensor"));
    return y.item();
  }

  const char* what_;
  TensorFunction f_;
  double h_;
  const Pause pause_;
  std::vector<Tensor> inputs_;
};

}  // namespace

double numerical_partial(const TensorFunction& f, const Tensor& x, std::int64_t element, double h) {
  constexpr const char* what = "numerical_partial";
  detail::require_derivative(what, x, "x");
  Differences differences(what, f, {x}, h);
  if (element < 0 || element >= x.size())
    throw ArgumentError(fmt::format("{}: there is no element {} of x, which has shape {} and {} elements",
                                    what, element, to_string(x.shape()), x.size()));
  return differences.partial(0, element);
}

Tensor numerical_gradient(const TensorFunction& f, const Tensor& x, double h) {
  detail::require_derivative("numerical_gradient", x, "x");
  return Differences("numerical_gradient", f, {x}, h).gradient(0);
}

std::vector<Tensor> numerical_gradient(const TensorFunction& f, const std::vector<Tensor>& inputs, double h) {
  Differences differences("numerical_gradient", f, inputs, h);
  std::vector<Tensor> gradients;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    gradients.push_back(is_floating(inputs[i].dtype()) ? differences.gradient(i) : Tensor());
  return gradients;
}

}  // namespace tapegrad
