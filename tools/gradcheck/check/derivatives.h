#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <tapegrad/gradcheck/check/comparison.h>
#include <tapegrad/gradcheck/check/jacobian.h>
#include <tapegrad/gradcheck/check/session.h>

namespace tapegrad::gradcheck::detail {

/// What exhaustive mode compares whole: so many elements of a Jacobian, of so many elements of inputs, as
/// each of these costs several evaluations of the whole function.
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

}  // namespace tapegrad::gradcheck::detail
