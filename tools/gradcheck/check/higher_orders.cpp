#include <algorithm>
#include <cmath>
#include <numeric>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/derivatives.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

using Gradient = Jacobian::Gradient;

Doubles concatenated(const Gradient& g, std::size_t inputs) {
  Doubles all;
  for (std::size_t k = 0; k < inputs; ++k) all.insert(all.end(), g[k].begin(), g[k].end());
  return all;
}

/// Second derivatives do not depend on the order of differentiation. The problem's results are the gradients
/// for the first `inputs` inputs, each differentiated for these again: the same elements in the same order.
class Symmetry {
 public:
  Symmetry(Session& s, Derivatives& d, int order, std::size_t inputs)
      : session_(s), jacobian_(d.jacobian()), order_(order), inputs_(inputs), full_(d.full()) {}

  void check() {
    const std::size_t results = jacobian_.base().values.size();
    if (full_) {
      std::vector<Doubles> h;
      for (std::size_t row = 0; row < results; ++row) h.push_back(of_row(row));
      for (std::size_t i = 0; i < h.size(); ++i)
        for (std::size_t j = 0; j < i && j < h[i].size(); ++j)
          compare(
              h[i][j], h[j][i], std::abs(h[i][j]),
              [&] {
                return rounding(i, [&](const auto& g) { return g[j]; }) +
                       rounding(j, [&](const auto& g) { return g[i]; });
              },
              [&] { return fmt::format(", elements {} and {}", i, j); });
    }
    for (std::size_t row = full_ ? results : 0; row + 1 < jacobian_.rows().size(); ++row) {
      const Doubles &w = jacobian_.rows()[row].weights, &v = jacobian_.rows()[row + 1].weights;
      const Doubles a = of_row(row), b = of_row(row + 1);
      double size = 0;
      for (std::size_t e = 0; e < a.size(); ++e) size += std::abs(v[e] * a[e]) + std::abs(w[e] * b[e]);
      compare(
          product(v, a), product(w, b), size,
          [&] {
            return rounding(row, [&](const auto& g) { return product(v, g); }) +
                   rounding(row + 1, [&](const auto& g) { return product(w, g); });
          },
          [] { return std::string(", random directions"); });
    }
  }

 private:
  static double product(const Doubles& weights, const Doubles& gradient) {
    return std::inner_product(gradient.begin(), gradient.end(), weights.begin(), 0.0);
  }
  Doubles of_row(std::size_t row) const {
    Gradient g;
    for (std::size_t k = 0; k < inputs_; ++k) g.push_back(jacobian_.gradient(0, row, k));
    return concatenated(g, inputs_);
  }
  /// How far rounding takes a number made of a row's gradient.
  template <class F>
  double rounding(std::size_t row, F&& number) {
    const double usual = number(of_row(row));
    double largest = 0;
    for (const Gradient& g : jacobian_.nearby(0, row))
      largest = std::max(largest, std::abs(number(concatenated(g, inputs_)) - usual));
    return std::isfinite(largest) ? largest : 0;
  }
  template <class Rounding, class Where>
  void compare(double a, double b, double size, Rounding&& rounding, Where&& where) {
    const double apart = std::abs(a - b), allowed = 1e-10 * size;
    if (apart <= allowed || (std::isnan(a) && std::isnan(b))) return;
    if (apart <= allowed + 16 * rounding()) return;
    session_.report.add({.verdict = Verdict::fail,
                         .order = order_,
                         .what = "symmetry of second derivatives",
                         .input = "inputs",
                         .index = where(),
                         .analytic = a,
                         .numeric = b});
  }

  Session& session_;
  Jacobian& jacobian_;
  int order_;
  std::size_t inputs_;
  bool full_;
};

/// Compares all derivatives, then calls `then` with them. Where random directions leave the answer open in
/// fast mode, or find something wrong, the derivatives are compared again element by element.
template <class Then>
void differentiate(Session& s, const Problem& problem, int order, std::span<const Rule> rules, Then&& then) {
  if (s.options.mode == Mode::fast) {
    Report report;
    Session quick{s.options, report, s.generator, s.until_failure, s.size_alone};
    Derivatives d(quick, problem, order, rules);
    d.run();
    then(quick, d);
    const std::size_t kinks = s.size_alone ? 0 : report.count(Verdict::kink);
    if (report.count(Verdict::inconclusive) + report.count(Verdict::fail) + kinks == 0)
      return s.report.merge(report);
  }
  Options thorough = s.options;
  if (thorough.mode == Mode::fast) thorough.mode = Mode::automatic;
  Session session{thorough, s.report, s.generator, s.until_failure};
  Derivatives d(session, problem, order, rules);
  d.run();
  then(session, d);
}

}  // namespace

void check_derivatives(Session& s, const Problem& problem, int order, std::span<const Rule> rules) {
  differentiate(s, problem, order, rules, [](Session&, Derivatives&) {});
}

void check_higher_orders(Session& s, const Problem& problem, int order) {
  s.run(order, "higher derivatives", [&] {
    std::vector<Tensor> weights;
    {
      const Pause pause;
      for (const Tensor& r : problem.evaluate(problem.values()))
        weights.push_back(is_floating(r.dtype()) ? random_weights(r.shape(), r.dtype(), s.generator) : r);
    }
    const GradientProblem gradients(problem, weights);
    constexpr Rule kFused[] = {Rule::fused};
    const Options& o = s.options;
    if (o.f32 && o.properties && o.in_double)
      s.run(order, "f32 against f64", [&] { check_single_precision(s, gradients, order, kFused); });
    if (o.f64 && o.properties) s.run(order, "properties", [&] { check_input_patterns(s, gradients, order); });
    if (o.f64)
      s.run(order, "higher derivatives", [&] {
        differentiate(s, gradients, order, kFused, [&](Session& session, Derivatives& d) {
          Symmetry(session, d, order, problem.grad_inputs().size()).check();
        });
      });
    if (order < o.order && !s.decided()) check_higher_orders(s, gradients, order + 1);
  });
}

}  // namespace tapegrad::gradcheck::detail
