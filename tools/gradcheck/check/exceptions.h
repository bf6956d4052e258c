#pragma once

#include <exception>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/graph/op_table.h>
#include <tapegrad/graph/rule_probe.h>

/// What a user's functions and rules throw, which may be of any type.
namespace tapegrad::gradcheck::detail {

/// What the exception says that is being handled, or of which type it is where it is no std::exception.
std::string exception_text();

/// While it lives, knows which rule of this thread's backward passes an exception has left.
class ThrowingRule final : public tapegrad::detail::RuleHook {
 public:
  struct Place {
    const tapegrad::detail::OpTable* op;
    Rule rule;
    auto operator<=>(const Place&) const = default;
  };

  void run(tapegrad::detail::RuleProbe& probe) override;
  /// The rule that threw the exception which is being handled; none where it came from elsewhere.
  std::optional<Place> place() const;

 private:
  std::optional<Place> place_;
  std::exception_ptr thrown_;
};

}  // namespace tapegrad::gradcheck::detail
