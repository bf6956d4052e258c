#include "arguments.h"

#include <cstddef>
#include <span>
#include <string>

#include <tapegrad/gradcheck/report/shell_word.h>

namespace tapegrad::cli {

namespace {
std::span<char* const> arguments;
}

void remember_arguments(int argc, char** argv) { arguments = {argv, static_cast<std::size_t>(argc)}; }

char* const* arguments_for_exec() { return arguments.data(); }

std::string command_line() {
  std::string line;
  for (const char* word : arguments) line += (line.empty() ? "" : " ") + gradcheck::detail::shell_word(word);
  return line;
}

}  // namespace tapegrad::cli
