#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <typeinfo>

#include <tapegrad/gradcheck/check/exceptions.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

namespace {

/// Of the exception that is being handled; nothing for one of another language.
std::string type_name() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (!type) return "that another language has thrown";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
  return fmt::format("of type {}", name ? name.get() : type->name());
}

}  // namespace

std::string exception_text() {
  try {
    throw;
  } catch (const std::exception& e) {
    const char* what = e.what();
    return what && *what ? what : fmt::format("an exception {} without a message", type_name());
  } catch (const char* text) {
    return fmt::format("an exception of type char const*: {}", text ? text : "null");
  } catch (const std::string& text) {
    return fmt::format("an exception of type std::string: {}", text);
  } catch (int number) {
    return fmt::format("an exception of type int: {}", number);
  } catch (...) {
    return fmt::format("an exception {}", type_name());
  }
}

void ThrowingRule::run(tapegrad::detail::RuleProbe& probe) {
  try {
    probe.run();
  } catch (...) {
    // A rule that differentiates on a tape of its own lets the exception of an inner rule pass.
    if (thrown_ != std::current_exception()) {
      thrown_ = std::current_exception();
      place_ = {&probe.op(), probe.kind()};
    }
    throw;
  }
}

std::optional<ThrowingRule::Place> ThrowingRule::place() const {
  return thrown_ && thrown_ == std::current_exception() ? place_ : std::nullopt;
}

}  // namespace tapegrad::gradcheck::detail
