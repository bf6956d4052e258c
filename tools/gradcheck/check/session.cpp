#include <exception>

#include <tapegrad/gradcheck/check/session.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

std::string_view describe(Rule rule) {
  switch (rule) {
    case Rule::fused:
      return kGradient;
    case Rule::general:
      return kGeneralGradient;
    default:
      return kRecordedGradient;
  }
}

std::span<const Rule> rules_of(const Options& options) {
  static constexpr Rule kInOrder[] = {Rule::fused, Rule::general, Rule::recorded};
  return std::span(kInOrder).first(options.recorded ? 3 : 2);
}

void Session::threw(int order, std::string_view part, const std::optional<ThrowingRule::Place>& rule) {
  const std::string text = exception_text();
  if (!rule) {
    if (thrown.insert(text).second) fail(order, part, "threw", text);
  } else if (throwing_rules.insert(*rule).second) {
    fail(order, describe(rule->rule), "threw",
         fmt::format("{}: the rule of {}: {}", part, op_label(rule->op->name), text));
  }
}

}  // namespace tapegrad::gradcheck::detail
