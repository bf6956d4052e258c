#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <tapegrad/graph/export.h>

/// Texts that files and options hold. Not part of the library's interface.
namespace tapegrad::nn::files {

bool is_utf8(const std::string& text);

/// The number that all of the text is, with a decimal point whatever the locale; nothing for any other text, and for
/// numbers that T does not hold.
template <class T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return {};
  return value;
}

}  // namespace tapegrad::nn::files
