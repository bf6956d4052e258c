#pragma once

#include <array>
#include <atomic>

#include <signal.h>

namespace tapegrad::cli {

/// While it lives, Ctrl-C (SIGINT), SIGTERM, SIGHUP and SIGPIPE ask the work at hand to stop, the latter two unless they
/// are ignored; a second one of the first three ends the process at once.
class InterruptHandler {
 public:
  InterruptHandler();
  ~InterruptHandler();
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;

  /// The signal that has come; 0 for none.
  static int signal() noexcept;
  /// Whether one has come.
  static const std::atomic<bool>& received() noexcept;

 private:
  // A terminal that is closed sends SIGHUP, which nohup ignores; a pipe that nobody reads, as of `| head`, SIGPIPE.
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace tapegrad::cli
