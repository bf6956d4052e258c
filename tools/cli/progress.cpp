#include "progress.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

namespace tapegrad::cli {

Progress::Progress() : terminal_(isatty(STDOUT_FILENO) == 1) {}

Progress::~Progress() { erase(); }

bool Progress::due() {
  if (!terminal_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < std::chrono::milliseconds(100)) return false;
  last_ = now;
  return true;
}

void Progress::rewrite(std::string_view text) {
  shown_ = true;
  fmt::print("\r{}\x1b[K", text);
  std::fflush(stdout);
}

void Progress::line(std::string_view text) {
  erase();
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

void Progress::erase() {
  if (shown_) fmt::print("\r\x1b[K");
  shown_ = false;
}

}  // namespace tapegrad::cli
