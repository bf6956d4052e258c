#include <algorithm>
#include <cmath>

#include <tapegrad/gradcheck/check/property_check.h>
#include <tapegrad/graph/values.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// Subsets of so many inputs are all tried; of more, each alone and each left out.
constexpr std::size_t kAllSubsets = 6;

/// Which inputs are tracked, and which are one tensor, must not change a gradient.
class InputPatterns : private PropertyCheck {
 public:
  InputPatterns(Session& s, const Problem& problem, int order) : PropertyCheck(s, problem, order) {}

  void run() {
    check_subsets();
    // The gradients of one tensor in two places are one sum, which is another function than that of two.
    if (order_ == 1) check_aliases();
  }

 private:
  static std::vector<std::size_t> members(std::size_t mask, const std::vector<std::size_t>& of) {
    std::vector<std::size_t> some;
    for (std::size_t k = 0; k < of.size(); ++k)
      if (mask >> k & 1u) some.push_back(of[k]);
    return some;
  }

  void check_subsets() {
    const std::size_t n = grad_inputs_.size();
    if (n < 2) return;
    std::vector<std::size_t> all(n);
    for (std::size_t k = 0; k < n; ++k) all[k] = k;
    std::vector<std::vector<std::size_t>> subsets;
    if (n <= kAllSubsets) {
      for (std::size_t m = 1; m + 1 < std::size_t{1} << n; ++m) subsets.push_back(members(m, all));
    } else {
      for (std::size_t k = 0; k < n; ++k) {
        subsets.push_back({k});
        subsets.push_back(all);
        std::erase(subsets.back(), k);
      }
    }
    for (const std::vector<std::size_t>& which : subsets) {
      std::vector<std::size_t> track;
      for (const std::size_t k : which) track.push_back(grad_inputs_[k]);
      Recording recording(problem_, at_, track);
      for (const Rule rule : order_ == 1 ? rules_of(session_.options) : rules_of(session_.options).first(1)) {
        const Tensors g = recording.vjp(weights_, rule);
        for (std::size_t i = 0; i < g.size(); ++i)
          compare(fmt::format("only some inputs tracked, {}", describe(rule)), which[i], g[i],
                  to_doubles(gradient_[which[i]]));
      }
    }
  }

  void check_aliases() {
    std::vector<std::vector<std::size_t>> classes;  // of inputs of one shape
    for (std::size_t k = 0; k < grad_inputs_.size(); ++k) {
      if (!problem_.inputs()[grad_inputs_[k]].replaceable) continue;
      const auto same = std::ranges::find_if(classes, [&](const std::vector<std::size_t>& c) {
        return at_[grad_inputs_[c[0]]].shape() == at_[grad_inputs_[k]].shape();
      });
      if (same == classes.end())
        classes.push_back({k});
      else
        same->push_back(k);
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
    // The point of one input may lie outside another's domain.
    for (const std::size_t k : which)
      if (same_at(which, at_[grad_inputs_[k]])) return;
  }

  /// The same values in several tensors, against one tensor in all places.
  bool same_at(const std::vector<std::size_t>& which, const Tensor& x) {
    Tensors in = at_;
    for (std::size_t j = 0; j < in.size(); ++j) in[j] = problem_.constant(j, in[j]);
    std::vector<std::size_t> places;
    for (const std::size_t k : which) {
      places.push_back(grad_inputs_[k]);
      in[places.back()] = x.copy();
    }
    Recording apart(problem_, in, places);
    for (const Tensor& r : apart.results())
      if (tapegrad::detail::first_non_finite(r) >= 0) return false;
    Doubles expected(static_cast<std::size_t>(x.size())), size = expected;
    for (const Tensor& g : apart.vjp(weights_)) {
      const Doubles part = to_doubles(g);
      for (std::size_t e = 0; e < part.size(); ++e) {
        if (!std::isfinite(part[e])) return false;
        expected[e] += part[e];
        size[e] += std::abs(part[e]);
      }
    }
    Tape tape;
    const Tensor leaf = tape.watch(x.copy());
    for (const std::size_t i : places) in[i] = leaf;
    const Tensors results = problem_.evaluate(in);
    Doubles got(expected.size());
    for (std::size_t j = 0; j < results.size(); ++j) {
      const Doubles part = to_doubles(tape.grad(results[j], leaf, {weights_[j], Record::no}));
      for (std::size_t e = 0; e < got.size(); ++e) got[e] += part[e];
    }
    std::string names = name(which[0]);
    for (std::size_t i = 1; i < which.size(); ++i) names += " and " + name(which[i]);
    compare("same tensor as " + names, which[0], got, expected, size);
    return true;
  }
};

}  // namespace

void check_input_patterns(Session& s, const Problem& problem, int order) {
  InputPatterns(s, problem, order).run();
}

}  // namespace tapegrad::gradcheck::detail
