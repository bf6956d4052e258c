// Blocks of the pool that are released by other threads than those that allocated them.
#include <array>
#include <atomic>
#include <cstdint>
#include <latch>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <malloc.h>

#include "storage_support.h"

namespace storage_threads_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// One place where threads leave tensors for each other.
class Mailbox {
 public:
  Tensor exchange(Tensor t) {
    const std::lock_guard lock(mutex_);
    std::swap(tensor_, t);
    return t;
  }
  Tensor copy() {
    const std::lock_guard lock(mutex_);
    return tensor_;
  }

 private:
  std::mutex mutex_;
  Tensor tensor_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(storage_threads)

BOOST_AUTO_TEST_CASE(a_block_moved_to_another_thread_and_released_there_comes_back) {
  Tensor a = stamped(7, 1000);
  const std::int64_t* old = address(a);
  in_thread([moved = std::move(a)]() mutable {
    BOOST_TEST(intact(moved));
    moved = {};
  });
  const bool reuse = pooled();  // takes a block of that size and gives it back
  const std::uint64_t before = system_allocations();
  const Tensor b = Tensor::empty({1000}, i64);
  if (reuse) {
    BOOST_TEST(system_allocations() == before);
    BOOST_TEST(address(b) == old);
  }
}

BOOST_AUTO_TEST_CASE(several_handles_of_a_block_are_given_back_together) {
  const bool reuse = pooled();
  Tensor a = stamped(7, 1000);
  Tensor b = a;
  Tensor c = a;
  const std::int64_t* old = address(a);
  in_thread([x = std::move(a), y = std::move(b)] { BOOST_TEST(intact(x)); });
  const Tensor other = Tensor::empty({1000}, i64);
  BOOST_TEST(address(other) != old);  // c still holds it
  BOOST_TEST(unique(c));
  BOOST_TEST(intact(c));
  c = {};
  if (reuse) BOOST_TEST(address(Tensor::empty({1000}, i64)) == old);
}

// The owner's count is used up while the block still waits in its queue: only settling the queue may free it,
// once.
BOOST_AUTO_TEST_CASE(a_queued_block_that_loses_its_owner_is_freed_once) {
  const bool reuse = pooled();
  for (const bool owner_first : {false, true}) {
    Tensor a = stamped(7, 1000);
    Tensor b = a;
    Tensor c;
    Tensor d;
    const std::int64_t* old = address(a);
    in_thread([&] {
      Tensor(std::move(a));  // counted by the owner: the block is queued
      c = b;
      d = b;
    });
    c = {};  // counted by the other thread, given back by the owner
    if (owner_first) b = {};
    in_thread([&] {
      BOOST_TEST(intact(d));
      d = {};
    });
    b = {};
    const Tensor first = Tensor::empty({1000}, i64);
    const Tensor second = Tensor::empty({1000}, i64);
    BOOST_TEST(address(first) != address(second));
    if (reuse) BOOST_TEST((address(first) == old || address(second) == old));
  }
}

// What another thread read before it let go of a tensor happens before what the owner then writes.
BOOST_AUTO_TEST_CASE(a_release_elsewhere_is_ordered_before_the_reuse) {
  for (int round = 0; round < 100; ++round) {
    Tensor a = stamped(round, 10);
    std::latch copied(1);
    bool whole = false;  // Boost's checks are not made for several threads
    std::thread reader([&] {
      Tensor copy = a;
      copied.count_down();
      whole = intact(copy);
    });
    copied.wait();
    while (!unique(a)) std::this_thread::yield();
    a.mutable_values<std::int64_t>()[9] = -1;
    reader.join();
    BOOST_TEST(whole);
  }
}

BOOST_AUTO_TEST_CASE(a_block_outlives_the_thread_that_allocated_it) {
  Tensor a;
  Tensor copy;
  in_thread([&] {
    a = stamped(3, 1000);
    copy = a;
  });
  BOOST_TEST(address(a)[999] == 3);
  BOOST_TEST(intact(copy));
  a = {};
  BOOST_TEST(intact(copy));
  const bool reuse = pooled();
  Tensor other;
  in_thread([&] { other = stamped(2, 5000); });
  const std::uint64_t asked = system_allocations();
  other = {};  // with the owner gone, the block goes back to the system: this thread may never use its size
  const Tensor own = Tensor::empty({5000}, i64);
  if (reuse) BOOST_TEST(system_allocations() == asked + 1);
  in_thread([&] {  // this thread takes over what the ended one left behind
    BOOST_TEST(intact(copy));
    const Tensor again = copy;
    copy = {};
    BOOST_TEST(intact(again));
    copy = stamped(4, 1000);
  });
  BOOST_TEST(address(copy)[0] == 4);
}

BOOST_AUTO_TEST_CASE(a_block_outlives_the_last_handle_of_its_owner) {
  Tensor a = stamped(5, 1000);
  std::latch copied(1);
  std::latch dropped(1);
  bool whole = false;
  bool whole_copy = false;
  std::thread other([&] {
    Tensor mine = a;
    copied.count_down();
    dropped.wait();
    whole = address(mine)[999] == 5;
    const Tensor second = mine;
    mine = {};
    whole_copy = intact(second);
  });
  copied.wait();
  a = {};
  dropped.count_down();
  other.join();
  BOOST_TEST(whole);
  BOOST_TEST(whole_copy);
}

BOOST_AUTO_TEST_CASE(thread_local_tensors_are_released_after_the_pool_of_their_thread) {
  Tensor kept;
  in_thread([&] {
    static thread_local Tensor early;  // constructed before this thread's pool: destroyed after it
    early = stamped(6, 1000);
    kept = early;
  });
  BOOST_TEST(address(kept)[0] == 6);
  in_thread([&] {
    struct AllocateAtExit {
      ~AllocateAtExit() { *out = stamped(8, 100); }
      Tensor* out = nullptr;
    };
    static thread_local AllocateAtExit at_exit;
    at_exit.out = &kept;
    const Tensor first = Tensor::zeros({2});
  });
  BOOST_TEST(address(kept)[99] == 8);
}

BOOST_AUTO_TEST_CASE(containers_of_the_pool_come_back_from_other_threads) {
  using PoolVector = std::vector<int, detail::PoolAllocator<int>>;
  if (!pooled()) return;
  std::uint64_t after_warm_up = 0;
  for (int step = 0; step < 50; ++step) {
    PoolVector v(1000, step);
    in_thread([moved = std::move(v), step] { BOOST_TEST(moved[999] == step); });
    if (step == 1) after_warm_up = system_allocations();
  }
  BOOST_TEST(system_allocations() == after_warm_up);
}

// A producer hands each tensor on and the consumer releases it last: neither side may pile up blocks.
BOOST_AUTO_TEST_CASE(a_thread_that_releases_what_others_allocate_does_not_hoard) {
  constexpr int kSteps = 1000;
  constexpr std::int64_t kSize = 4096;                        // 32 KB
  const auto in_use = [] { return ::mallinfo2().uordblks; };  // of the main thread; zero under a sanitizer
  for (const bool by_copy : {false, true}) {
    Mailbox box;
    std::atomic<int> sent{0};
    std::atomic<int> received{0};
    const auto wait_for = [](const std::atomic<int>& value, int wanted) {
      while (value.load() < wanted) std::this_thread::yield();
    };
    const std::size_t before = in_use();
    std::size_t after = 0;
    int torn = 0;
    std::thread consumer([&] {
      const Tensor own = Tensor::zeros({1});  // so that this thread has a pool
      for (int i = 1; i <= kSteps; ++i) {
        wait_for(sent, 2 * i - 1);
        Tensor t = by_copy ? box.copy() : box.exchange({});
        received.store(i);
        wait_for(sent, 2 * i);  // the producer has let go
        torn += !intact(t);
      }
      after = in_use();
    });
    const std::uint64_t allocations = system_allocations();
    for (int i = 1; i <= kSteps; ++i) {
      box.exchange(stamped(i, kSize));
      sent.store(2 * i - 1);
      wait_for(received, i);
      box.exchange({});
      sent.store(2 * i);
    }
    consumer.join();
    BOOST_TEST(torn == 0);
    BOOST_TEST(after < before + 100 * kSize * sizeof(std::int64_t));
    if (!by_copy && pooled()) BOOST_TEST(system_allocations() < allocations + 100);
  }
}

// Threads come and go, and pass tensors around by copy and by move, so that owners settle, end, and are
// succeeded while others release. A count that is wrong by one shows as torn elements, a crash, or a report
// of a sanitizer.
BOOST_AUTO_TEST_CASE(many_threads_pass_tensors_around) {
  constexpr int kGenerations = 10;
  constexpr std::uint32_t kThreads = 4;
  std::array<Mailbox, 3> boxes;
  std::atomic<int> torn{0};
  for (std::uint32_t generation = 0; generation < kGenerations; ++generation) {
    std::latch start(kThreads);
    const auto work = [&](std::uint32_t id) {
      std::uint32_t random = (generation * kThreads + id) * 2654435761U + 1;
      const auto below = [&](std::size_t n) {
        random = random * 1664525 + 1013904223;
        return (random >> 16) % n;
      };
      std::vector<Tensor> held;
      start.arrive_and_wait();
      const std::size_t steps = id == 0 ? 200 : 2000;  // one ends long before the others
      for (std::size_t i = 0; i < steps; ++i) {
        Mailbox& box = boxes[below(boxes.size())];
        const std::size_t action = held.empty() ? below(3) : below(8);
        if (action < 2) {
          Tensor t = stamped(random, static_cast<std::int64_t>(1 + below(64)));
          held.push_back(box.exchange(t));
          held.push_back(boxes[below(boxes.size())].exchange(std::move(t)));
        } else if (action == 2) {
          held.push_back(box.copy());
        } else if (action == 3) {
          Tensor& any = held[below(held.size())];
          any = box.exchange(std::move(any));
        } else if (action == 4) {
          held.push_back(box.exchange(held[below(held.size())]));
        } else if (action == 5) {
          held.push_back(Tensor(held[below(held.size())]));
        } else if (action == 6) {
          held[below(held.size())] = {};
        } else if (held.size() > 12) {
          held.clear();
        }
        if (!held.empty() && held.back().defined() && !intact(held.back())) ++torn;
      }
      trim();
    };
    std::vector<std::thread> threads;
    for (std::uint32_t id = 0; id < kThreads; ++id) threads.emplace_back(work, id);
    for (std::thread& t : threads) t.join();
  }
  BOOST_TEST(torn == 0);
}

// Both sides of the race between a thread that ends and another that gives its last references back.
BOOST_AUTO_TEST_CASE(owners_end_while_others_release) {
  for (int round = 0; round < 200; ++round) {
    std::vector<Tensor> tensors(4);
    std::latch allocated(1);
    std::latch go(2);
    std::thread owner([&] {
      for (Tensor& t : tensors) t = stamped(round, 50);
      allocated.count_down();
      go.arrive_and_wait();
    });
    allocated.wait();
    go.arrive_and_wait();
    BOOST_TEST(intact(tensors[0]));
    tensors.clear();
    owner.join();
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace storage_threads_test
