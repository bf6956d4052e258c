// How much memory a thread keeps for reuse.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/storage_limit.h>

#include <boost/test/unit_test.hpp>

#include <malloc.h>

#include "storage_support.h"

namespace storage_bound_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(storage_bound)

// A thread for each batch makes a tensor and ends; this thread, which never makes one of that size, drops it.
BOOST_AUTO_TEST_CASE(blocks_of_ended_threads_do_not_pile_up) {
  constexpr std::int64_t kSize = 100'000;
  const auto in_use = [] {  // of all arenas; zero under a sanitizer
    const struct mallinfo2 m = ::mallinfo2();
    return m.uordblks + m.hblkhd;
  };
  const Tensor own = Tensor::zeros({64});
  for (const bool copied : {false, true}) {
    std::size_t before = 0;
    for (int i = 0; i < 100; ++i) {
      if (i == 10) before = in_use();
      Tensor batch;
      Tensor copy;
      in_thread([&] {
        batch = stamped(i, kSize);
        if (copied) copy = batch;
      });
      BOOST_TEST(address(batch)[0] == i);
    }
    BOOST_TEST(in_use() < before + 5 * kSize * sizeof(std::int64_t));
  }
}

// What a thread keeps beside what is in use is no more than what it has had in use at once.
BOOST_AUTO_TEST_CASE(sizes_that_grow_do_not_leave_the_smaller_ones_behind) {
  if (!pooled()) return;
  in_thread([] {  // with a pool of its own
    const detail::ThreadState& pool = *detail::this_thread();
    const std::size_t at_first = pool.held;
    BOOST_CHECK_THROW(Tensor::empty({std::int64_t{1} << 55}, f64), OutOfMemory);  // and so not in use
    std::size_t most = 0;
    for (std::int64_t bytes = 1000; bytes < (std::int64_t{16} << 20); bytes += bytes / 9) {
      std::vector<Tensor> live;
      for (int i = 0; i < 3; ++i) live.push_back(Tensor::empty({bytes / 8}, i64));
      most = 3 * (static_cast<std::size_t>(bytes) * 9 / 8 + 128);
      BOOST_TEST(pool.held - at_first <= std::max<std::size_t>(2 * most, 1 << 20));
    }
    const std::size_t held = pool.held;
    BOOST_TEST(held > (std::size_t{40} << 20));  // the last ones are kept for the next of their size
    const std::uint64_t before = system_allocations();
    for (int i = 0; i < 10; ++i) Tensor::empty({std::int64_t{15} << 17}, i64);
    BOOST_TEST(system_allocations() <= before + 1);
    trim();
    BOOST_TEST(pool.held == at_first);
  });
}

// The sizes of a step differ, and are all kept once the step repeats itself.
BOOST_AUTO_TEST_CASE(a_step_that_repeats_itself_keeps_its_blocks) {
  if (!pooled()) return;
  in_thread([] {
    const auto step = [] {
      std::vector<Tensor> saved;
      for (std::int64_t n = 1; n <= 24; ++n) saved.push_back(Tensor::empty({n * 10'000}, f64));
      for (std::int64_t n = 24; n-- > 0;) {
        const Tensor gradient = Tensor::empty({n * 10'000 + 9'000}, f32);
        saved.pop_back();
      }
    };
    step();
    step();
    const std::uint64_t before = system_allocations();
    for (int i = 0; i < 5; ++i) step();
    BOOST_TEST(system_allocations() == before);
  });
}

BOOST_AUTO_TEST_CASE(what_is_held_is_counted) {
  if (!pooled()) return;
  in_thread([] {
    const detail::ThreadState& pool = *detail::this_thread();
    trim();
    const std::size_t at_first = pool.held;
    {
      Tensor moved = stamped(1, 1000);
      Tensor shared = stamped(2, 1000);
      Tensor outlives;
      BOOST_TEST(pool.held > at_first);
      in_thread([x = std::move(moved), y = shared] { BOOST_TEST(intact(x)); });
      std::latch copied(1);
      std::latch dropped(1);
      std::thread other([&] {
        Tensor mine = shared;
        copied.count_down();
        dropped.wait();
        mine = {};
      });
      copied.wait();
      shared = {};  // the other thread has the last reference
      dropped.count_down();
      other.join();
    }
    trim();
    BOOST_TEST(pool.held == at_first);
  });
}

BOOST_AUTO_TEST_CASE(a_large_block_serves_a_smaller_tensor) {
  if (!pooled()) return;
  in_thread([] {  // with a pool of its own
    constexpr std::int64_t kLarge = 1 << 20;
    Tensor::empty({kLarge}, f32);
    std::uint64_t before = system_allocations();
    {
      const Tensor smaller = Tensor::empty({kLarge * 5 / 8}, f32);
      BOOST_TEST(system_allocations() == before);
      const Tensor other = Tensor::empty({kLarge * 5 / 8}, f32);  // the block is taken
      BOOST_TEST(system_allocations() == before + 1);
    }
    before = system_allocations();
    const Tensor much_smaller = Tensor::empty({kLarge / 8}, f32);
    BOOST_TEST(system_allocations() == before + 1);
    Tensor::empty({100}, f32);
    before = system_allocations();
    const Tensor small = Tensor::empty({80}, f32);  // those are kept by size
    BOOST_TEST(system_allocations() == before + 1);
  });
}

// What a file describes may be of any size.
BOOST_AUTO_TEST_CASE(a_limit_refuses_what_lies_above_it) {
  in_thread([] {
    const Tensor before = Tensor::zeros({1000}, f64);
    {
      const detail::StorageLimit limit(1 << 20);
      const Tensor small = Tensor::zeros({100'000}, f32);
      BOOST_TEST(!limit.reached());
      BOOST_CHECK_THROW(Tensor::zeros({1'000'000}, f32), OutOfMemory);
      BOOST_TEST(limit.reached());
      {
        const detail::StorageLimit wider(std::size_t{1} << 40);  // does not widen the one around it
        BOOST_CHECK_THROW(Tensor::zeros({1'000'000}, f32), OutOfMemory);
      }
      BOOST_CHECK_NO_THROW(Tensor::zeros({100'000}, f32));
      BOOST_TEST(!limit.reached());
      std::vector<Tensor> many;
      BOOST_CHECK_THROW(while (true) many.push_back(Tensor::zeros({10'000}, f32)), OutOfMemory);
      BOOST_TEST(many.size() < 20U);
    }
    BOOST_CHECK_NO_THROW(Tensor::zeros({1'000'000}, f32));
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace storage_bound_test
