#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/loops/work_queue.h>

namespace tapegrad::gradcheck::detail {

/// take(make(0)), take(make(1)), ... on this thread, in this order, as soon as each is made; they are made by
/// so many other threads, whose operations then take one thread each. Ends where take returns false; what
/// make throws is thrown in its turn.
template <class Make, class Take>
void in_order(std::size_t count, int threads, const Make& make, const Take& take) {
  if (threads <= 1 || count <= 1) {
    for (std::size_t i = 0; i < count; ++i)
      if (!take(make(i))) return;
    return;
  }
  struct Slot {
    std::optional<std::invoke_result_t<const Make&, std::size_t>> made;
    std::exception_ptr thrown;
  };
  std::vector<Slot> slots(count);
  std::mutex mutex;  // of the slots
  std::condition_variable filled;
  tapegrad::detail::WorkQueue queue(static_cast<std::int64_t>(count));
  const auto work = [&] {
    const tapegrad::detail::ThreadLimit one(1);
    queue.work([&](std::int64_t item) {
      const auto i = static_cast<std::size_t>(item);
      Slot slot;
      try {
        slot.made.emplace(make(i));
      } catch (...) {
        slot.thrown = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      slots[i] = std::move(slot);
      filled.notify_one();
    });
  };
  std::vector<std::jthread> workers;
  struct Stop {
    tapegrad::detail::WorkQueue& queue;
    ~Stop() { queue.stop(); }
  };
  const Stop stop_before_joining{queue};
  for (std::size_t n = std::min(count, static_cast<std::size_t>(threads)); n-- > 0;)
    workers.emplace_back(work);
  for (std::size_t i = 0; i < count; ++i) {
    Slot slot;
    {
      std::unique_lock lock(mutex);
      filled.wait(lock, [&] { return slots[i].made || slots[i].thrown; });
      slot = std::move(slots[i]);
    }
    if (slot.thrown) std::rethrow_exception(slot.thrown);
    if (!take(std::move(*slot.made))) return;
  }
}

}  // namespace tapegrad::gradcheck::detail
