#include <algorithm>
#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/functional/derivatives.h>
#include <tapegrad/optim/descent.h>

#include <fmt/format.h>

namespace tapegrad::optim {

namespace {

/// Changes below this part are none to speak of.
constexpr double kStill = 1e-6;

double length_of(const Tensor& x) {
  return visit_floating(x.dtype(), [&]<class T> {
    double n = 0;
    for (const T v : x.values<T>()) n = std::hypot(n, static_cast<double>(v));
    return n;
  });
}

void validate(const DescentOptions& o) {
  if (!(o.rate > 0 && std::isfinite(o.rate)))
    throw ArgumentError(
        fmt::format("gradient_descent: the rate is {}; it must be positive and finite. To climb, "
                    "set ascend",
                    o.rate));
  if (o.steps < 1)
    throw ArgumentError(fmt::format("gradient_descent: {} steps; there must be at least one", o.steps));
  if (!(o.tolerance >= 0))
    throw ArgumentError(
        fmt::format("gradient_descent: the tolerance is {}; it must not be negative", o.tolerance));
}

void judge(Descent& d, const DescentOptions& o, bool left_the_finite) {
  const double g0 = d.gradient_norms.front();
  const double g = d.gradient_norms.back();
  const double v0 = d.values.front();
  const double v = d.values.back();
  const std::size_t steps = d.path.size() - 1;
  if (left_the_finite || ((o.ascend ? v < v0 : v > v0) && g > g0)) {
    d.outcome = Outcome::diverged;
    d.message = fmt::format(
        "diverged: after {} steps the value has gone from {:.6g} to {:.6g}, the gradient's norm "
        "from {:.6g} to {:.6g}{}; lower the rate, which is {:g}",
        steps, v0, v, g0, g, left_the_finite ? ", and the next step leads to where they are not finite" : "",
        o.rate);
    return;
  }
  if (g <= o.tolerance * g0) {
    d.outcome = Outcome::converged;
    d.message = fmt::format("converged: after {} steps the gradient's norm is {:.6g}, of {:.6g} at the start",
                            steps, g, g0);
    return;
  }
  const double moved = length_of(d.path.back() - d.path.front());
  if (moved <= kStill * std::max(length_of(d.path.front()), 1.0) && std::abs(g - g0) <= kStill * g0) {
    d.outcome = Outcome::did_not_move;
    d.message = fmt::format(
        "did not move: {} steps have moved x by {:.6g} altogether, and the gradient's norm is {:.6g} "
        "as at the start; raise the rate, which is {:g}",
        steps, moved, g, o.rate);
    return;
  }
  d.outcome = Outcome::ran;
  d.message = fmt::format(
      "ran: after {} steps the gradient's norm is {:.6g}, of {:.6g} at the start; more steps or "
      "another rate than {:g} may lead further",
      steps, g, g0, o.rate);
}

}  // namespace

std::string_view name_of(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::converged:
      return "converged";
    case Outcome::ran:
      return "ran";
    case Outcome::diverged:
      return "diverged";
    default:
      return "did not move";
  }
}

Descent gradient_descent(const TensorFunction& f, const Tensor& start, const DescentOptions& options) {
  validate(options);
  const Pause pause;
  Descent d{};
  Tensor x = start.detach();
  bool left_the_finite = false;
  for (std::int64_t step = 0;; ++step) {
    const ValueAndGradient at = detail::value_and_gradient_of("gradient_descent", f, x);
    const double value = at.value.item();
    const double length = length_of(at.gradient);
    if (!std::isfinite(value) || !std::isfinite(length)) {
      if (step == 0)
        throw NonFinite(
            fmt::format("gradient_descent: at the start the value is {}, the gradient's norm {}; start "
                        "where both are finite",
                        value, length));
      left_the_finite = true;
      break;
    }
    d.path.push_back(x);
    d.values.push_back(value);
    d.gradient_norms.push_back(length);
    if (step == options.steps || length == 0) break;
    const double factor =
        (options.ascend ? 1 : -1) * (options.normalize ? options.rate / length : options.rate);
    x = x + factor * at.gradient;
  }
  judge(d, options, left_the_finite);
  return d;
}

}  // namespace tapegrad::optim
