#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/gradcheck/check/progress.h>
#include <tapegrad/ops/loops/parallel.h>

namespace tapegrad::gradcheck::detail {

/// Makes numbered things by other threads while this one takes them in their order and watches what runs.
template <class Made, class Make, class Poll>
class InOrder {
 public:
  InOrder(std::size_t count, int threads, Make make, const Poll& poll, bool& left_behind)
      : shared_(std::make_shared<Shared>(count, threads > 1, std::move(make))),
        poll_(poll),
        left_behind_(left_behind),
        first_threads_(std::min(count, static_cast<std::size_t>(std::max(threads, 1)))) {}
  InOrder(const InOrder&) = delete;
  InOrder& operator=(const InOrder&) = delete;
  /// Waits for the threads that make something still, unless they are left behind.
  ~InOrder() {
    {
      std::unique_lock lock(shared_->mutex);
      shared_->stop = true;
      while (shared_->busy > 0) wait(lock);
    }
    for (std::thread& t : threads_)
      if (t.joinable()) t.join();
  }

  template <class Take>
  void run(const Take& take) {
    {
      const std::lock_guard lock(shared_->mutex);
      for (std::size_t n = 0; n < first_threads_; ++n) start();
    }
    for (std::size_t i = 0; i < shared_->items.size(); ++i) {
      Item item;
      {
        std::unique_lock lock(shared_->mutex);
        while (!shared_->items[i].made && !shared_->items[i].thrown) wait(lock);
        item = std::move(shared_->items[i]);
      }
      if (item.thrown) std::rethrow_exception(item.thrown);
      if (!take(std::move(*item.made))) return;
    }
  }

 private:
  struct Item {
    std::optional<Made> made;
    std::exception_ptr thrown;
    std::shared_ptr<Progress> progress;  ///< while it runs
    std::size_t thread = 0;
  };
  /// What a thread that is left behind may still come back to.
  struct Shared {
    Shared(std::size_t count, bool one_each, Make m)
        : items(count), one_thread_each(one_each), make(std::move(m)) {}
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Item> items;
    std::size_t next = 0;
    std::size_t busy = 0;  ///< threads that have not ended, without those left behind
    bool stop = false;
    const bool one_thread_each;
    const Make make;
  };

  void start() {
    threads_.emplace_back([shared = shared_, number = threads_.size()] {
      std::optional<tapegrad::detail::ThreadLimit> one;
      if (shared->one_thread_each) one.emplace(1);
      std::unique_lock lock(shared->mutex);
      while (!shared->stop && shared->next < shared->items.size()) {
        const std::size_t i = shared->next++;
        const auto progress = std::make_shared<Progress>();
        shared->items[i].progress = progress;
        shared->items[i].thread = number;
        lock.unlock();
        std::optional<Made> made;
        std::exception_ptr thrown;
        try {
          const Progress::Watched watched(*progress);
          made.emplace(shared->make(i));
        } catch (...) {
          thrown = std::current_exception();
        }
        lock.lock();
        if (shared->items[i].progress != progress) return;  // left behind: something else stands in its place
        shared->items[i].made = std::move(made);
        shared->items[i].thrown = thrown;
        shared->items[i].progress = nullptr;
        shared->changed.notify_one();
      }
      --shared->busy;
      shared->changed.notify_one();
    });
    ++shared_->busy;
  }

  void wait(std::unique_lock<std::mutex>& lock) {
    constexpr std::chrono::milliseconds kBetweenPolls(100);
    shared_->changed.wait_for(lock, kBetweenPolls);
    if (Progress::Clock::now() - polled_ < kBetweenPolls) return;
    polled_ = Progress::Clock::now();
    for (std::size_t i = 0; i < shared_->next; ++i) {
      Item& item = shared_->items[i];
      if (!item.progress) continue;
      std::optional<Made> instead = poll_(i, *item.progress);
      if (!instead) continue;
      item.made = std::move(instead);
      item.progress = nullptr;
      threads_[item.thread].detach();
      left_behind_ = true;
      --shared_->busy;
      start();
    }
  }

  std::shared_ptr<Shared> shared_;
  const Poll& poll_;
  bool& left_behind_;
  std::size_t first_threads_;
  std::vector<std::thread> threads_;
  Progress::Clock::time_point polled_ = Progress::Clock::now();
};

/// take(make(0)), take(make(1)), ... on this thread, in this order, as soon as each is made; they are made by
/// so many other threads, whose operations then take one thread each. Ends where take returns false; what
/// make throws is thrown in its turn. poll(i, progress) is called now and then for all that are being made:
/// what it returns, if anything, stands for the thing, and the thread that makes it is left behind.
/// `left_behind` says then, however this ends, that what make refers to must live as long as the process.
template <class Made, class Make, class Poll, class Take>
void in_order(std::size_t count, int threads, Make make, const Poll& poll, const Take& take,
              bool& left_behind) {
  InOrder<Made, Make, Poll>(count, threads, std::move(make), poll, left_behind).run(take);
}

}  // namespace tapegrad::gradcheck::detail
