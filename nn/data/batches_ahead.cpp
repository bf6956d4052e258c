#include <algorithm>
#include <atomic>
#include <utility>

#include <unistd.h>

#include <tapegrad/nn/data/batches_ahead.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/signals_blocked.h>

namespace tapegrad::nn::loading {

namespace {
/// What a child of fork has inherited and cannot destroy stays reachable through this.
constinit std::atomic<BatchesAhead*> left_behind{nullptr};
}  // namespace

void EndThreads::operator()(BatchesAhead* ahead) const noexcept { BatchesAhead::end(ahead); }

void BatchesAhead::end(BatchesAhead* ahead) noexcept {
  if (ahead->is_left_behind())
    ahead->left_behind_before_ = left_behind.exchange(ahead);
  else
    delete ahead;
}

BatchesAhead::BatchesAhead(std::shared_ptr<const BatchMaker> maker, std::int64_t first, std::int64_t workers,
                           std::int64_t prefetch)
    : maker_(std::move(maker)), process_(::getpid()), next_to_make_(first), next_to_take_(first) {
  const std::int64_t left = maker_->count() - first;
  slots_.resize(static_cast<std::size_t>(std::min(prefetch, left)));
  const std::int64_t useful = std::min(workers, std::ssize(slots_));
  threads_.reserve(static_cast<std::size_t>(useful));
  start(useful);
}

/// Where the system has no more threads to give, or no memory for them, those that there are do the work.
void BatchesAhead::start(std::int64_t workers) noexcept {
  const tapegrad::detail::SignalsBlocked blocked;
  try {
    for (std::int64_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::exception&) {  // std::system_error or std::bad_alloc
  }
}

BatchesAhead::~BatchesAhead() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool BatchesAhead::is_left_behind() const noexcept { return ::getpid() != process_; }

void BatchesAhead::work() noexcept {
  // Batches are shared among the workers. The pool of threads is for the operations of the program's own.
  const tapegrad::detail::ThreadLimit one(1);
  std::unique_lock lock(mutex_);
  for (;;) {
    room_.wait(lock, [&] {
      return ending_ || next_to_make_ == maker_->count() ||
             next_to_make_ < next_to_take_ + std::ssize(slots_);
    });
    if (ending_ || next_to_make_ == maker_->count()) return;
    const std::int64_t number = next_to_make_++;
    lock.unlock();
    Slot made{.ready = true};
    try {
      made.batch = maker_->make(number);
    } catch (...) {
      made.failure = std::current_exception();
    }
    lock.lock();
    slot_of(number) = std::move(made);
    ready_.notify_one();
  }
}

Batch BatchesAhead::take() {
  Slot taken;
  {
    std::unique_lock lock(mutex_);
    Slot& next = slot_of(next_to_take_);
    ready_.wait(lock, [&] { return next.ready; });
    taken = std::exchange(next, {});
    ++next_to_take_;
  }
  room_.notify_one();
  if (taken.failure) std::rethrow_exception(std::move(taken.failure));
  return std::move(taken.batch);
}

}  // namespace tapegrad::nn::loading
