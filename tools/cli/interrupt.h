#pragma once

#include <atomic>

#include <signal.h>

namespace tapegrad::cli {

/// While it lives, Ctrl-C (SIGINT), SIGTERM and, unless it is ignored, SIGHUP ask the work at hand to stop; a second one
/// ends the process at once.
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
  struct sigaction before_int_ = {};
  struct sigaction before_term_ = {};
  struct sigaction before_hup_ = {};
};

}  // namespace tapegrad::cli
