#include <algorithm>
#include <optional>

#include <tapegrad/gradcheck/check/checks.h>
#include <tapegrad/gradcheck/check/snapshot.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// What all other checks rely on: the function and its rules run, and give the same bits again. They are
/// asked first, as a number that is drawn anew, or state that grows, would look like any other fault to the
/// checks that follow.
class Repeatability {
 public:
  Repeatability(Session& s, const Problem& problem)
      : session_(s), problem_(problem), grad_inputs_(problem.grad_inputs()) {}

  bool run() {
    const std::size_t before = session_.report.count(Verdict::fail);
    session_.run(1, "function", [&] { check_function(); });
    if (session_.report.count(Verdict::fail) > before) return false;
    for (const Rule rule : rules_of(session_.options)) check_rule(rule);
    list_exceptions();
    return !repeats_no_more_;
  }

 private:
  /// The point once more: a wrong function may write to it.
  Tensors point() const {
    Tensors at = problem_.values();
    for (Tensor& t : at) t = t.copy();
    return at;
  }
  static bool same(const Tensors& a, const Tensors& b) {
    return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) { return same_bits(x, y); });
  }
  void fail(std::string_view what, std::string_view input, std::string_view message) {
    repeats_no_more_ = true;
    session_.fail(1, what, input, std::string(message));
  }

  Tensors value_at(Tensors at) const {
    const Pause pause;
    for (std::size_t i = 0; i < at.size(); ++i) at[i] = problem_.constant(i, at[i]);
    return problem_.evaluate(at);
  }

  void check_function() {
    results_ = value_at(point());
    for (Tensor& r : results_) r = r.copy();
    for (int again = 0; again < 2; ++again)
      if (!same(value_at(point()), results_))
        return fail("state or randomness", "result",
                    fmt::format("called again with the same inputs it gives other values: {}",
                                problem_.hidden_state()));
    try {
      value_at(elsewhere());
    } catch (...) {  // outside the function's domain, perhaps
    }
    if (!same(value_at(point()), results_))
      fail("state", "result",
           fmt::format("after a call with other inputs it gives other values than before: {}",
                       problem_.hidden_state()));
  }
  Tensors elsewhere() const {
    Tensors at = point();
    for (Tensor& t : at) {
      if (!is_floating(t.dtype())) continue;
      Doubles x = to_doubles(t);
      for (double& v : x) v = 0.875 * v + 0x1p-6;
      t = from_doubles(x, t.shape(), t.dtype());
    }
    return at;
  }

  /// Results, then gradients; all on a tape of their own.
  Tensors outcome(Rule rule) const {
    Recording recording(problem_, point(), grad_inputs_);
    Tensors all, weights;
    Generator generator(session_.options.seed,
                        4);  // of its own, so that the checks that follow draw what they did
    for (const Tensor& r : recording.results()) {
      all.push_back(r.copy());
      weights.push_back(random_weights(r.shape(), is_floating(r.dtype()) ? r.dtype() : f64, generator));
    }
    for (Tensor& g : recording.vjp(weights, rule)) all.push_back(g.copy());
    return all;
  }

  void check_rule(Rule rule) {
    if (repeats_no_more_) return;
    Progress::at(1, describe(rule));
    const ThrowingRule throwing;
    try {
      const Tensors once = outcome(rule);
      for (int again = 0; again < 2; ++again) {
        const Tensors more = outcome(rule);
        for (std::size_t i = 0; i < once.size(); ++i) {
          if (i < results_.size() ? same_bits(once[i], more[i])
                                  : repeats(once[i], more[i], session_.options.nondet_tol))
            continue;
          if (i < results_.size())
            return fail(
                "state or randomness", "result",
                fmt::format("called again under a tape it gives other values: {}", problem_.hidden_state()));
          return fail(
              fmt::format("state or randomness, {}", describe(rule)),
              problem_.inputs()[grad_inputs_[i - results_.size()]].name,
              "a second run gives other bits: a rule draws random numbers or keeps state of its own; freeze "
              "what is random by a seed, give what is to be kept to Residuals, and allow for sums in another "
              "order by nondet_tol");
        }
      }
    } catch (const MutatedSaved&) {  // is found again by the checks of properties, and called that
    } catch (...) {
      note(rule, exception_text(), throwing.place());
    }
  }

  // ---- exceptions ----

  struct Exception {
    std::string text;
    std::optional<ThrowingRule::Place> place;
    std::vector<Rule> rules;
  };

  void note(Rule rule, const std::string& text, const std::optional<ThrowingRule::Place>& place) {
    const auto same_one = [&](const Exception& e) {
      return e.text == text && e.place.has_value() == place.has_value() &&
             (!place || e.place->op == place->op);
    };
    auto found = std::ranges::find_if(exceptions_, same_one);
    if (found == exceptions_.end()) found = exceptions_.insert(found, Exception{text, place, {}});
    found->rules.push_back(rule);
    if (place) session_.throwing_rules.insert(*place);
    session_.thrown.insert(text);
  }

  void list_exceptions() {
    for (const Exception& e : exceptions_) {
      std::string rules;
      for (const Rule rule : e.rules) rules += (rules.empty() ? "" : " and ") + std::string(describe(rule));
      if (e.rules.size() == rules_of(session_.options).size()) rules = kGradientByEveryRule;
      session_.fail(
          1, rules, "threw",
          e.place ? fmt::format("in the rule of {}: {}", op_label(e.place->op->name), e.text) : e.text);
    }
  }

  Session& session_;
  const Problem& problem_;
  std::vector<std::size_t> grad_inputs_;
  Tensors results_;
  std::vector<Exception> exceptions_;
  bool repeats_no_more_ = false;
};

}  // namespace

bool check_repeatable(Session& s, const Problem& problem) { return Repeatability(s, problem).run(); }

}  // namespace tapegrad::gradcheck::detail
