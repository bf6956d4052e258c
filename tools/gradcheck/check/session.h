#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check/exceptions.h>
#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/gradcheck/check/progress.h>

namespace tapegrad::gradcheck::detail {

using Tensors = std::vector<Tensor>;

/// One check while it runs.
struct Session {
  const Options& options;
  Report& report;
  Generator generator;
  /// One failure is all that the caller asks for.
  bool until_failure = false;
  /// Only what many elements decide is checked: smaller samples of the same op show the rest.
  bool size_alone = false;
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

  /// The exception that is being handled. A rule that several parts of the check meet is listed once, and so
  /// is what the function says.
  void threw(int order, std::string_view part, const std::optional<ThrowingRule::Place>& rule);
};

/// The rules that the options ask for, the one that a user gets first.
std::span<const Rule> rules_of(const Options& options);

/// "gradient", "gradient by the general rule", "gradient as recorded".
std::string_view describe(Rule rule);

}  // namespace tapegrad::gradcheck::detail
