#pragma once

#include <string>
#include <string_view>

namespace tapegrad::gradcheck::detail {

/// A text as one word of a shell's command: as it is where no shell takes it for more, else within double quotes, or
/// single ones where it has what means something within double quotes. Not part of the library's interface.
inline std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return std::string(text);
  if (text.find_first_of("\"\\$`!") == text.npos) return '"' + std::string(text) + '"';
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

}  // namespace tapegrad::gradcheck::detail
