#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/gradcheck/check/comparison.h>
#include <tapegrad/gradcheck/check/exceptions.h>
#include <tapegrad/gradcheck/check/jacobian.h>
#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/gradcheck/check/progress.h>

namespace tapegrad::gradcheck::detail {

/// One check while it runs.
struct Session {
  const Options& options;
  Report& report;
  Generator generator;
  /// One failure is all that the caller asks for.
  bool until_failure = false;
  /// What was listed: rules that threw, and what was thrown elsewhere.
  std::set<ThrowingRule::Place> throwing_rules{};
  std::set<std::string> thrown{};
  /// Follows what a finding says was checked.
  std::string_view note{};

  /// Whether the rest need not be checked.
  bool decided() const { return until_failure && report.count(Verdict::fail) > 0; }
  void add(Finding finding) {
    finding.what += note;
    report.add(std::move(finding));
  }
  void fail(int order, std::string_view what, std::string_view input, std::string message) {
    add({.verdict = Verdict::fail,
         .order = order,
         .what = std::string(what),
         .input = std::string(input),
         .message = std::move(message)});
  }

  /// Runs a part of the check. An exception from the function or a rule is a finding.
  template <class F>
  void run(int order, std::string_view part, F&& check) {
    if (decided()) return;
    Progress::at(order, part);
    const ThrowingRule rule;
    try {
      check();
    } catch (...) {
      threw(order, part, rule.place());
    }
  }

  /// The exception that is being handled. A rule that several parts of the check meet is listed once, and so is
  /// what the function says.
  void threw(int order, std::string_view part, const std::optional<ThrowingRule::Place>& rule);
};

/// The rules that the options ask for, the one that a user gets first.
std::span<const Rule> rules_of(const Options& options);

/// "gradient", "gradient by the general rule", "gradient as recorded".
std::string_view describe(Rule rule);

/// What exhaustive mode compares whole: so many elements of a Jacobian, of so many elements of inputs, as each of
/// these costs several evaluations of the whole function.
inline constexpr std::size_t kExhaustiveSize = std::size_t{1} << 20,
                             kExhaustiveElements = std::size_t{1} << 12;

/// Compares the derivatives of one problem with numerical ones.
class Derivatives {
 public:
  Derivatives(Session& s, const Problem& problem, int order, std::span<const Rule> rules);
  void run();

  Jacobian& jacobian() { return jacobian_; }
  /// Whether the first rows are the single results.
  bool full() const { return full_; }
  /// Whether anything has failed at this order.
  bool failed() const {
    return std::ranges::any_of(session_.report.tallies(),
                               [&](const InputTally& t) { return t.order == order_ && t.fail > 0; });
  }

  /// Adds a finding to the report. `locate` completes it where the report stores it.
  using Locate = std::function<void(Finding&)>;
  void record(const Comparison& j, Rule rule, const std::string& input, const Locate& locate);

 private:
  void check_elements(std::size_t k);
  std::vector<std::size_t> chosen_elements(std::size_t k);
  void place(Finding& f, std::size_t k, std::size_t e, std::size_t row) const;

  Session& session_;
  int order_;
  Jacobian jacobian_;
  bool full_ = true;
};

/// Compares the derivatives of all results for all inputs that need a gradient with numerical ones; by each
/// of the rules.
void check_derivatives(Session& s, const Problem& problem, int order, std::span<const Rule> rules);

/// Does the same for the recorded gradients, from order 2 to the order of the options, and checks that second
/// derivatives are symmetric.
void check_higher_orders(Session& s, const Problem& problem, int order);

/// Runs the function and each of its rules, and again. False where that shows a fault that all other checks would only
/// meet again: the function throws, or what it gives depends on more than its inputs.
bool check_repeatable(Session& s, const Problem& problem);

/// Checks what every gradient must satisfy; see Options::properties.
void check_properties(Session& s, const Problem& problem);
/// Of these, what concerns others: that a rule adds to what is there, changes nothing that is not its own, and reads
/// nothing that a later forward pass leaves.
void check_surroundings(Session& s, const Problem& problem);

/// Checks that a gradient is the same with any inputs tracked, and with one tensor as several inputs.
void check_input_patterns(Session& s, const Problem& problem, int order);

/// Checks that a gradient depends on nothing but its inputs: neither on the number of threads nor on what
/// lies in memory beside the elements.
void check_isolation(Session& s, const Problem& problem);

/// Compares results and gradients by each of the rules in f32 with those in f64 at the same point.
void check_single_precision(Session& s, const Problem& problem, int order, std::span<const Rule> rules);

/// Makes all checks that the options ask for. Exceptions become findings. `differenced`: what numerical derivatives are
/// of, the problem itself but for what is declared straight through.
void check_problem(Session& s, const Problem& problem, const Problem& differenced);
inline void check_problem(Session& s, const Problem& problem) { check_problem(s, problem, problem); }
void check_problem(const Problem& problem, const Options& options, Report& report);

/// Throws ArgumentError for options that make no sense.
void validate(const Options& options);
/// Gives a user's inputs their names.
std::vector<Input> given_inputs(const std::vector<Tensor>& inputs, const Options& options);

/// Which of several tensors an element belongs to, counted through all of them, and where in that tensor it
/// is.
struct Position {
  std::size_t tensor;
  std::size_t element;
};
Position position_of(std::size_t element, std::span<const Tensor> tensors);

}  // namespace tapegrad::gradcheck::detail
