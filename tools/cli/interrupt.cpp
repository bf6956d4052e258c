#include "interrupt.h"

#include <csignal>

namespace tapegrad::cli {

namespace {

// All that a signal handler may touch: atomics without locks.
std::atomic<int> number_received{0};
std::atomic<bool> any_received{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void receive(int number) {
  number_received = number;
  any_received = true;
}

}  // namespace

InterruptHandler::InterruptHandler() {
  struct sigaction action = {};
  action.sa_handler = receive;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &before_int_);
  sigaction(SIGTERM, &action, &before_term_);
  // A terminal that is closed sends it; nohup ignores it.
  sigaction(SIGHUP, nullptr, &before_hup_);
  if (before_hup_.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

InterruptHandler::~InterruptHandler() {
  sigaction(SIGHUP, &before_hup_, nullptr);
  sigaction(SIGINT, &before_int_, nullptr);
  sigaction(SIGTERM, &before_term_, nullptr);
}

int InterruptHandler::signal() noexcept { return number_received; }

const std::atomic<bool>& InterruptHandler::received() noexcept { return any_received; }

}  // namespace tapegrad::cli
