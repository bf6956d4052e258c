#include <utility>

#include <tapegrad/nn/distributed/background.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/signals_blocked.h>

namespace tapegrad::nn {

Background::Background(std::function<void(std::size_t)> run) : run_(std::move(run)) {
  const tapegrad::detail::SignalsBlocked blocked;
  thread_ = std::thread([this] { work(); });
}

Background::~Background() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Background::ready(std::size_t count) {
  {
    const std::lock_guard lock(mutex_);
    ready_ = count;
  }
  changed_.notify_all();
}

void Background::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ == ready_ || failure_; });
  done_ = ready_ = 0;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Background::work() {
  // Threads of the pool are for the rank's own operations, which go on meanwhile.
  const tapegrad::detail::ThreadLimit alone(1);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return (done_ < ready_ && !failure_) || ends_; });
    if (done_ == ready_ || failure_) return;
    const std::size_t task = done_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      run_(task);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    if (!failure_) ++done_;
    changed_.notify_all();
  }
}

}  // namespace tapegrad::nn
