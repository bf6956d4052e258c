#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <tapegrad/gradcheck/check/property_check.h>
#include <tapegrad/gradcheck/check/rounding_noise.h>
#include <tapegrad/graph/values.h>

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
  Tensors all;
  for (const Tensor& t : list) {
    if (!is_floating(t.dtype())) {
      all.push_back(t);
      continue;
    }
    std::vector<double> x = to_doubles(t);
    bool up = false;
    for (double& v : x) {
      up = alternate ? !up : g() & 1u;
      v *= 1 + (up ? kUlp : -kUlp);
    }
    all.push_back(from_doubles(x, t.shape(), f64));
  }
  return all;
}

/// Results and gradients of a run.
struct Outcome {
  Tensors results, gradients;
};

Outcome outcome_of(const Problem& problem, const Tensors& at, const std::vector<std::size_t>& grad_inputs,
                   const Tensors& weights) {
  Recording r(problem, at, grad_inputs);
  Tensors w;
  for (std::size_t k = 0; k < weights.size(); ++k) w.push_back(converted(weights[k], r.results()[k].dtype()));
  return {r.results(), r.vjp(w)};
}

/// Widens `by` to what a change of each input by an ulp of f32 changes, which is an error that no kernel can
/// avoid.
void widen(std::vector<std::vector<double>>& by, const Tensors& changed, const Tensors& usual) {
  by.resize(usual.size());
  for (std::size_t k = 0; k < usual.size(); ++k) {
    const std::vector<double> a = to_doubles(changed[k]), b = to_doubles(usual[k]);
    by[k].resize(a.size());
    for (std::size_t e = 0; e < a.size(); ++e)
      if (std::isfinite(a[e] - b[e])) by[k][e] = std::max(by[k][e], std::abs(a[e] - b[e]));
  }
}

Tensors errors(const Tensors& single, const Tensors& exact) {
  Tensors all;
  for (std::size_t k = 0; k < single.size(); ++k) {
    std::vector<double> x = to_doubles(single[k]);
    const std::vector<double> right = to_doubles(exact[k]);
    for (std::size_t e = 0; e < x.size(); ++e) x[e] -= right[e];
    all.push_back(from_doubles(x, single[k].shape(), f64));
  }
  return all;
}
Outcome errors(const Outcome& single, const Outcome& exact) {
  return {errors(single.results, exact.results), errors(single.gradients, exact.gradients)};
}

void compare(Session& s, std::string_view what, std::string_view name, const Tensor& single,
             const Tensor& exact, const std::vector<double>& moves, double largest,
             const std::function<double(std::size_t)>& rounding) {
  const std::vector<double> got = to_doubles(single), expected = to_doubles(exact);
  for (std::size_t e = 0; e < got.size(); ++e) {
    if (!std::isfinite(expected[e]) || std::abs(expected[e]) > 0.25 * std::numeric_limits<float>::max())
      continue;
    const double tolerance =
        kUlp * (32 * std::abs(expected[e]) + 4 * largest) + 16 * moves[e] + std::numeric_limits<float>::min();
    const double apart = std::abs(got[e] - expected[e]);
    if (apart <= tolerance || apart <= tolerance + 16 * rounding(e)) continue;
    s.report.add({.verdict = Verdict::fail,
                  .what = std::string(what),
                  .input = std::string(name),
                  .index = tapegrad::detail::index_text(static_cast<std::int64_t>(e), single.shape()),
                  .analytic = got[e],
                  .numeric = expected[e],
                  .uncertainty = tolerance});
    return;
  }
}

}  // namespace

void check_single_precision(Session& s, const Problem& problem) {
  const std::vector<std::size_t> grad_inputs = problem.grad_inputs();
  const Tensors single = all_as(problem.values(), f32), exact = all_as(single, f64);
  Tensors weights;
  {
    const Pause pause;
    for (const Tensor& r : problem.evaluate(exact))
      weights.push_back(random_weights(r.shape(), f32, s.generator));
  }
  const Outcome a = outcome_of(problem, single, grad_inputs, weights),
                b = outcome_of(problem, exact, grad_inputs, weights);
  std::vector<std::vector<double>> results, gradients;
  for (int i = 0; i < 4; ++i) {
    const Outcome c = outcome_of(problem, moved(exact, s.generator, i == 0), grad_inputs,
                                 moved(weights, s.generator, i == 1));
    widen(results, c.results, b.results);
    widen(gradients, c.gradients, b.gradients);
  }
  // Where that is not all, terms may have cancelled. Rounding then changes from point to point as it likes; an error of
  // f32 alone changes as slowly as the function does.
  std::vector<std::vector<double>> single_results, single_gradients;
  const auto measure = [&] {
    if (!single_results.empty()) return;
    const Outcome here = errors(a, b);
    widen(single_results, here.results, here.results);
    widen(single_gradients, here.gradients, here.gradients);
    for (int i = 0; i < 8; ++i) try {
        const Tensors near = beside(single, s.generator, i % 2 ? 0x1p-10 : 0);
        const Outcome right = outcome_of(problem, all_as(near, f64), grad_inputs, weights);
        RoundingNoise noise(s.generator());
        const Outcome there = errors(outcome_of(problem, near, grad_inputs, weights), right);
        widen(single_results, there.results, here.results);
        widen(single_gradients, there.gradients, here.gradients);
      } catch (const ArgumentError&) {  // outside the function's domain
      }
  };
  for (std::size_t k = 0; k < a.results.size(); ++k)
    compare(s, "f32 against f64", "result", a.results[k], b.results[k], results[k], largest_of(b.results),
            [&](std::size_t e) { return measure(), single_results[k][e]; });
  for (std::size_t k = 0; k < grad_inputs.size(); ++k) {
    const std::string& name = problem.inputs()[grad_inputs[k]].name;
    if (a.gradients[k].dtype() != f32)
      s.fail(1, "f32 against f64", name, "the gradient of an f32 input is not f32");
    compare(s, "f32 against f64: gradient", name, a.gradients[k], b.gradients[k], gradients[k],
            largest_of(b.gradients), [&](std::size_t e) { return measure(), single_gradients[k][e]; });
  }
}

}  // namespace tapegrad::gradcheck::detail
