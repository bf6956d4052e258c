#include "interrupt.h"

#include <csignal>

namespace tapegrad::cli {

namespace {
volatile std::sig_atomic_t received = 0;
}

InterruptHandler::InterruptHandler() {
  struct sigaction action = {};
  action.sa_handler = [](int number) { received = number; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &before_int_);
  sigaction(SIGTERM, &action, &before_term_);
}

InterruptHandler::~InterruptHandler() {
  sigaction(SIGINT, &before_int_, nullptr);
  sigaction(SIGTERM, &before_term_, nullptr);
}

int InterruptHandler::signal() noexcept { return received; }

}  // namespace tapegrad::cli
