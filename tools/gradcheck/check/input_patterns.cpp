#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/property_check.h>
#include <tapegrad/graph/values.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// Subsets of so many inputs are all tried; of more, each alone and each left out.
constexpr std::size_t kAllSubsets = 6;

/// The rounding of a problem's gradients at another point.
class RoundingThere : private PropertyCheck {
 public:
  RoundingThere(Session& s, const Problem& problem, const Tensors& at, int order)
      : RoundingThere(s, std::unique_ptr<const Problem>(new VariantProblem(at_point(problem, at))), order) {}
  const Doubles& of(std::size_t k) { return rounding()[k]; }

 private:
  RoundingThere(Session& s, std::unique_ptr<const Problem> there, int order)
      : PropertyCheck(s, *there, order), there_(std::move(there)) {}

  std::unique_ptr<const Problem> there_;
};

/// Which inputs are tracked, and which are one tensor, must not change a gradient of any order.
class InputPatterns : private PropertyCheck {
 public:
  InputPatterns(Session& s, const Problem& problem, int order) : PropertyCheck(s, problem, order) {
    for (const std::size_t i : grad_inputs_)
      if (i < problem.own_inputs()) own_.push_back(i);
  }

  void run() {
    check_tracked();
    if (order_ > 1) check_constants();
    check_aliases();
  }

 private:
  static std::vector<std::size_t> members(std::size_t mask, const std::vector<std::size_t>& of) {
    std::vector<std::size_t> some;
    for (std::size_t k = 0; k < of.size(); ++k)
      if (mask >> k & 1u) some.push_back(of[k]);
    return some;
  }
  /// All but the whole and nothing; of many, each alone and each left out.
  static std::vector<std::vector<std::size_t>> subsets_of(const std::vector<std::size_t>& all) {
    std::vector<std::vector<std::size_t>> subsets;
    if (all.size() <= kAllSubsets) {
      for (std::size_t m = 1; m + 1 < std::size_t{1} << all.size(); ++m) subsets.push_back(members(m, all));
      return subsets;
    }
    for (const std::size_t i : all) {
      subsets.push_back({i});
      subsets.push_back(all);
      std::erase(subsets.back(), i);
    }
    return subsets;
  }
  std::size_t place_of(std::size_t input) const {
    return static_cast<std::size_t>(std::ranges::find(grad_inputs_, input) - grad_inputs_.begin());
  }

  void check_tracked() {
    for (const std::vector<std::size_t>& track : subsets_of(grad_inputs_)) {
      Recording recording(problem_, at_, track);
      for (const Rule rule : order_ == 1 ? rules_of(session_.options) : rules_of(session_.options).first(1)) {
        const Tensors g = recording.vjp(weights_, rule);
        for (std::size_t i = 0; i < g.size(); ++i)
          compare(fmt::format("{}, {}", kTracked, describe(rule)), place_of(track[i]), g[i],
                  to_doubles(gradient_[place_of(track[i])]));
      }
    }
  }

  /// The same where the function's other inputs have never been tracked, at any order.
  void check_constants() {
    for (const std::vector<std::size_t>& constant : subsets_of(own_))
      check_pattern(kTracked, {.constant = constant}, at_);
  }

  void check_aliases() {
    std::vector<std::vector<std::size_t>> classes;  // of inputs of one shape
    for (const std::size_t i : own_) {
      if (!problem_.inputs()[i].replaceable) continue;
      const auto same = std::ranges::find_if(
          classes, [&](const std::vector<std::size_t>& c) { return at_[c[0]].shape() == at_[i].shape(); });
      if (same == classes.end())
        classes.push_back({i});
      else
        same->push_back(i);
    }
    for (const std::vector<std::size_t>& c : classes) {
      if (c.size() > kAllSubsets) {
        for (std::size_t i = 1; i < c.size(); ++i) check_alias({c[i - 1], c[i]});
        check_alias(c);
        continue;
      }
      for (std::size_t m = 3; m < std::size_t{1} << c.size(); ++m)
        if ((m & (m - 1)) != 0) check_alias(members(m, c));
    }
  }

  void check_alias(const std::vector<std::size_t>& which) {
    std::string names = problem_.inputs()[which[0]].name;
    for (std::size_t i = 1; i < which.size(); ++i) names += " and " + problem_.inputs()[which[i]].name;
    // The point of one input may lie outside another's domain.
    for (const std::size_t from : which) {
      Tensors at = at_;
      for (const std::size_t i : which) at[i] = at_[from].copy();
      if (check_pattern("same tensor as " + names, {.same = which}, at)) return;
    }
  }

  /// Compares the gradient where the function is called in a pattern with the sum of those for the tensors
  /// that each one stands for there. False where that is not finite.
  bool check_pattern(const std::string& what, const Pattern& pattern, Tensors at) {
    const Variant variant = problem_.variant(pattern);
    Tensors some, weights(weights_.size()), some_weights;
    std::vector<bool> given(at.size());
    for (const std::vector<std::size_t>& places : variant.inputs) {
      some.push_back(at[places[0]]);
      for (const std::size_t i : places) at[i] = some.back().copy(), given[i] = true;
    }
    // The others are incoming gradients of results that are not there.
    for (std::size_t i = 0; i < at.size(); ++i)
      if (!given[i]) at[i] = Tensor::zeros(at[i].shape(), at[i].dtype());
    for (std::size_t k = 0; variant.results.empty() && k < weights_.size(); ++k)
      some_weights.push_back(weights[k] = weights_[k]);
    for (const std::vector<std::size_t>& places : variant.results) {
      some_weights.push_back(weights_[places[0]]);
      for (const std::size_t k : places) weights[k] = some_weights.back();
    }

    Recording apart(problem_, at, grad_inputs_);
    for (const Tensor& r : apart.results())
      if (tapegrad::detail::first_non_finite(r) >= 0) return false;
    const Tensors parts = apart.vjp(weights);
    const std::vector<std::size_t> differentiated = variant.problem->grad_inputs();
    std::vector<Doubles> expected, size;
    for (const std::size_t a : differentiated) {
      expected.emplace_back(static_cast<std::size_t>(some[a].size()));
      size.push_back(expected.back());
      for (const std::size_t i : variant.inputs[a]) {
        const Doubles part = to_doubles(parts[place_of(i)]);
        for (std::size_t e = 0; e < part.size(); ++e) {
          if (!std::isfinite(part[e])) return false;
          expected.back()[e] += part[e];
          size.back()[e] += std::abs(part[e]);
        }
      }
    }
    Recording together(*variant.problem, some, differentiated);
    const Tensors got = together.vjp(some_weights);
    std::optional<RoundingThere> in_parts, in_one;
    for (std::size_t k = 0; k < got.size(); ++k) {
      Doubles rounding;
      const std::vector<std::size_t>& places = variant.inputs[differentiated[k]];
      const auto measured = [&]() -> const Doubles& {
        if (!rounding.empty()) return rounding;
        if (!in_parts) in_parts.emplace(session_, problem_, at, order_);
        if (!in_one) in_one.emplace(session_, *variant.problem, some, order_);
        rounding = in_one->of(k);
        for (const std::size_t i : places)
          for (std::size_t e = 0; e < rounding.size(); ++e) rounding[e] += in_parts->of(place_of(i))[e];
        return rounding;
      };
      compare(what, place_of(places[0]), to_doubles(got[k]), expected[k], size[k], 1, measured);
    }
    return true;
  }

  static constexpr const char* kTracked = "only some inputs tracked";
  std::vector<std::size_t> own_;  ///< inputs of the function that are differentiated
};

}  // namespace

void check_input_patterns(Session& s, const Problem& problem, int order) {
  InputPatterns(s, problem, order).run();
}

}  // namespace tapegrad::gradcheck::detail
