#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/property_check.h>
#include <tapegrad/gradcheck/check/rounding_noise.h>
#include <tapegrad/graph/values.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

constexpr double kUlp = 0x1p-23;

Tensors all_as(const Tensors& list, Dtype dtype) {
  Tensors c;
  for (const Tensor& t : list) c.push_back(converted(t, dtype));
  return c;
}

/// Moves every floating element up or down by an ulp of f32, neighbours in opposite directions or each at
/// random.
Tensors moved(const Tensors& list, Generator& g, bool alternate) {
  if (!alternate) return beside(list, g, kUlp);
  Tensors all;
  for (const Tensor& t : list) {
    Doubles x = to_doubles(t);
    bool up = false;
    for (double& v : x) v *= 1 + ((up = !up) ? kUlp : -kUlp);
    all.push_back(is_floating(t.dtype()) ? from_doubles(x, t.shape(), f64) : t);
  }
  return all;
}

/// Results and gradients of a run.
struct Outcome {
  Tensors results, gradients;
};

Outcome outcome_of(const Problem& problem, const Tensors& at, const std::vector<std::size_t>& grad_inputs,
                   const Tensors& weights, Rule rule) {
  Recording r(problem, at, grad_inputs);
  Tensors w;
  for (std::size_t k = 0; k < weights.size(); ++k) w.push_back(converted(weights[k], r.results()[k].dtype()));
  return {r.results(), r.vjp(w, rule)};
}

/// Widens `by` to what a change of each input by an ulp of f32 changes, which is an error that no kernel can
/// avoid.
void widen(std::vector<Doubles>& by, const Tensors& changed, const Tensors& usual) {
  by.resize(usual.size());
  for (std::size_t k = 0; k < usual.size(); ++k) {
    const Doubles a = to_doubles(changed[k]), b = to_doubles(usual[k]);
    by[k].resize(a.size());
    for (std::size_t e = 0; e < a.size(); ++e)
      if (std::isfinite(a[e] - b[e])) by[k][e] = std::max(by[k][e], std::abs(a[e] - b[e]));
  }
}

Tensors errors(const Tensors& single, const Tensors& exact) {
  Tensors all;
  for (std::size_t k = 0; k < single.size(); ++k) {
    Doubles x = to_doubles(single[k]);
    const Doubles right = to_doubles(exact[k]);
    for (std::size_t e = 0; e < x.size(); ++e) x[e] -= right[e];
    all.push_back(from_doubles(x, single[k].shape(), f64));
  }
  return all;
}
Outcome errors(const Outcome& single, const Outcome& exact) {
  return {errors(single.results, exact.results), errors(single.gradients, exact.gradients)};
}

/// While it lives, the largest number is noted that a rule of this thread's backward passes meets.
class LargestOperand final : public tapegrad::detail::RuleHook {
 public:
  double largest() const { return largest_; }
  void run(tapegrad::detail::RuleProbe& probe) override {
    Tensors met{probe.grad_output()};
    for (const unsigned bit : probe.saved_bits()) met.push_back(probe.saved(bit));
    for (const Tensor& t : met)
      if (t.defined() && is_floating(t.dtype())) largest_ = std::max(largest_, largest_of({&t, 1}));
    probe.run();
  }

 private:
  double largest_ = 0;
};

/// [tensor][element]
using Numbers = std::vector<Doubles>;

class SinglePrecision {
 public:
  SinglePrecision(Session& s, const Problem& problem, int order)
      : session_(s),
        problem_(problem),
        order_(order),
        grad_inputs_(problem.grad_inputs()),
        single_(all_as(problem.values(), f32)) {
    const Pause pause;
    for (const Tensor& r : problem.evaluate(all_as(single_, f64)))
      weights_.push_back(random_weights(r.shape(), f32, s.generator));
  }

  void run(std::span<const Rule> rules) {
    const Tensors exact = all_as(single_, f64);
    const Tensors weights = all_as(weights_, f64);
    exact_ = outcome(exact, weights_, Rule::fused);
    for (int i = 0; i < 4; ++i) {
      const Outcome c = outcome(moved(exact, session_.generator, i == 0),
                                moved(weights, session_.generator, i == 1), Rule::fused);
      widen(moved_results_, c.results, exact_.results);
      widen(moved_gradients_, c.gradients, exact_.gradients);
    }
    for (const Rule rule : rules)
      if (!session_.decided()) check(rule);
  }

 private:
  Outcome outcome(const Tensors& at, const Tensors& weights, Rule rule) const {
    return outcome_of(problem_, at, grad_inputs_, weights, rule);
  }

  void check(Rule rule) {
    const Outcome a = outcome(single_, weights_, rule);
    // Beside what neighbours in f32 explain, terms may have cancelled. Rounding then changes from point to
    // point as it likes; an error of f32 alone changes as slowly as the function does.
    Numbers results, gradients;
    const auto measure = [&] {
      if (!results.empty()) return;
      const Outcome here = errors(a, exact_);
      widen(results, here.results, here.results);
      widen(gradients, here.gradients, here.gradients);
      for (int i = 0; i < 8; ++i) try {
          const Tensors near = beside(single_, session_.generator, i % 2 ? 0x1p-10 : 0);
          const Outcome right = outcome(all_as(near, f64), weights_, Rule::fused);
          RoundingNoise noise(session_.generator());
          const Outcome there = errors(outcome(near, weights_, rule), right);
          widen(results, there.results, here.results);
          widen(gradients, there.gradients, here.gradients);
        } catch (const ArgumentError&) {  // outside the function's domain
        }
    };
    if (rule == Rule::fused)  // the results are the same for all
      for (std::size_t k = 0; k < a.results.size(); ++k)
        compare("f32 against f64", "result", a.results[k], exact_.results[k], moved_results_[k],
                [&](std::size_t e) { return measure(), results[k][e]; });
    for (std::size_t k = 0; k < grad_inputs_.size(); ++k) {
      const std::string& name = problem_.inputs()[grad_inputs_[k]].name;
      const std::string what = fmt::format("f32 against f64: {}", describe(rule));
      if (a.gradients[k].dtype() != f32)
        session_.fail(order_, what, name, "the gradient of an f32 input is not f32");
      compare(what, name, a.gradients[k], exact_.gradients[k], moved_gradients_[k],
              [&](std::size_t e) { return measure(), gradients[k][e]; });
    }
  }

  void compare(std::string_view what, std::string_view name, const Tensor& single, const Tensor& exact,
               const Doubles& moves, const std::function<double(std::size_t)>& rounding) {
    const Doubles got = to_doubles(single), expected = to_doubles(exact);
    std::size_t beyond = 0, first_beyond = 0;
    for (std::size_t e = 0; e < got.size(); ++e) {
      if (!std::isfinite(expected[e]) || std::abs(expected[e]) > 0.25 * std::numeric_limits<float>::max())
        continue;
      const double tolerance =
          kUlp * 32 * std::abs(expected[e]) + 16 * moves[e] + std::numeric_limits<float>::min();
      const double apart = std::abs(got[e] - expected[e]);
      if (apart <= tolerance || apart <= tolerance + 16 * rounding(e)) continue;
      if (order_ > 2 && !std::isfinite(got[e]) && leaves_the_range()) {
        if (beyond++ == 0) first_beyond = e;
        continue;
      }
      session_.report.add(
          {.verdict = Verdict::fail,
           .order = order_,
           .what = std::string(what),
           .input = std::string(name),
           .index = tapegrad::detail::index_text(static_cast<std::int64_t>(e), single.shape()),
           .analytic = got[e],
           .numeric = expected[e],
           .uncertainty = tolerance});
      return;
    }
    if (beyond > 0)
      session_.report.add(
          {.verdict = Verdict::inconclusive,
           .order = order_,
           .what = std::string(what),
           .input = std::string(name),
           .index = tapegrad::detail::index_text(static_cast<std::int64_t>(first_beyond), single.shape()),
           .message =
               fmt::format("{} of {} elements are not finite, as numbers on the way to them are beyond f32",
                           beyond, got.size())});
  }

  /// Whether numbers on the way are beyond f32. Rules see to it that this is of no account for their own
  /// gradient and its derivative; what the recorded parts of these make of it at third order is nobody's
  /// promise.
  bool leaves_the_range() const {
    LargestOperand operands;
    outcome(all_as(single_, f64), all_as(weights_, f64), Rule::fused);
    return operands.largest() > std::numeric_limits<float>::max();
  }

  Session& session_;
  const Problem& problem_;
  int order_;
  std::vector<std::size_t> grad_inputs_;
  Tensors single_, weights_;
  Outcome exact_;  ///< in f64, by the usual rule
  Numbers moved_results_, moved_gradients_;
};

}  // namespace

void check_single_precision(Session& s, const Problem& problem, int order, std::span<const Rule> rules) {
  SinglePrecision(s, problem, order).run(rules);
}

}  // namespace tapegrad::gradcheck::detail
