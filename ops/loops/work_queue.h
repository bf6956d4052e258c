#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>

namespace tapegrad::detail {

/// Hands out items 0, 1, ..., count - 1 to threads, each once and in rising order. After an item has failed
/// no more are handed out; as all before it were, the lowest failure is the same however threads run.
class WorkQueue {
 public:
  explicit WorkQueue(std::int64_t count = 0) noexcept : count_(count) {}

  /// Starts over. No thread may be at work.
  void reset(std::int64_t count) noexcept {
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
  }

  /// f(i) for one item after the other, until none is left. For any number of threads at once.
  template <class F>
  void work(F&& f) noexcept {
    for (std::int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) {
      try {
        f(i);
      } catch (...) {
        keep_failure(i, std::current_exception());
      }
    }
  }

  /// No more items are handed out.
  void stop() noexcept { next_.store(count_, std::memory_order_relaxed); }

  /// The exception of the lowest item that failed, taken away from here; null where none has.
  std::exception_ptr take_failure() noexcept { return std::exchange(failure_, nullptr); }

 private:
  void keep_failure(std::int64_t item, std::exception_ptr failure) noexcept {
    stop();
    const std::lock_guard lock(mutex_);
    if (failure_ && failed_item_ < item) return;
    failure_ = std::move(failure);
    failed_item_ = item;
  }

  std::int64_t count_;
  alignas(64) std::atomic<std::int64_t> next_{0};
  alignas(64) std::mutex mutex_;
  std::exception_ptr failure_;
  std::int64_t failed_item_ = 0;
};

/// f(i) for each item in [0, count), on this thread and on others of their own, `threads` in all: for items
/// that are programs of their own and may wait, where blocks of one operation go to the pool (parallel.h).
/// Throws what the lowest item that failed has thrown.
template <class F>
void work_on_threads(std::int64_t count, std::int64_t threads, F&& f) {
  WorkQueue queue(count);
  {
    std::vector<std::jthread> others;
    try {
      for (std::int64_t i = 1; i < threads && i < count; ++i) others.emplace_back([&] { queue.work(f); });
    } catch (const std::exception&) {
      // No more threads, or no memory for them: those that run do the work.
    }
    queue.work(f);
  }
  if (const std::exception_ptr failure = queue.take_failure()) std::rethrow_exception(failure);
}

}  // namespace tapegrad::detail
