#include "interrupt.h"

#include <csignal>
#include <cstddef>

namespace tapegrad::cli {

namespace {

// All that a signal handler may touch: atomics without locks.
std::atomic<int> number_received{0};
std::atomic<bool> any_received{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void receive(int number) {
  int none = 0;
  number_received.compare_exchange_strong(none, number);  // the first counts
  any_received = true;
}

}  // namespace

InterruptHandler::InterruptHandler() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    const int number = kSignals[i];
    sigaction(number, nullptr, &before_[i]);
    if ((number == SIGHUP || number == SIGPIPE) && before_[i].sa_handler == SIG_IGN) continue;
    struct sigaction action = {};
    action.sa_handler = receive;
    // Each line that is written behind the first of a broken pipe sends its signal again.
    action.sa_flags = number == SIGPIPE ? 0 : static_cast<int>(SA_RESETHAND);
    sigaction(number, &action, nullptr);
  }
}

InterruptHandler::~InterruptHandler() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int InterruptHandler::signal() noexcept { return number_received; }

const std::atomic<bool>& InterruptHandler::received() noexcept { return any_received; }

}  // namespace tapegrad::cli
