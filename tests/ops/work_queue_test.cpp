// Items that threads share.
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <tapegrad/ops/loops/work_queue.h>

#include <boost/test/unit_test.hpp>

namespace work_queue_test {

using namespace tapegrad::detail;

BOOST_AUTO_TEST_SUITE(work_queue)

BOOST_AUTO_TEST_CASE(each_item_is_handed_out_once) {
  for (const std::int64_t threads : {1, 2, 5})
    for (const std::int64_t count : {0, 1, 2, 100}) {
      std::vector<std::atomic<int>> times(static_cast<std::size_t>(count));
      work_on_threads(count, threads, [&](std::int64_t i) { ++times[static_cast<std::size_t>(i)]; });
      for (const auto& n : times) BOOST_TEST(n.load() == 1);
    }
}

BOOST_AUTO_TEST_CASE(the_lowest_failure_arrives_whoever_is_first) {
  for (const std::int64_t threads : {1, 2, 4})
    for (int repeat = 0; repeat < 20; ++repeat) {
      const auto run = [&] {
        work_on_threads(200, threads, [](std::int64_t i) {
          if (i % 50 == 7) throw std::runtime_error("item " + std::to_string(i));
        });
      };
      BOOST_CHECK_EXCEPTION(run(), std::runtime_error,
                            [](const auto& e) { return std::string(e.what()) == "item 7"; });
    }
}

BOOST_AUTO_TEST_CASE(after_a_failure_or_a_stop_no_more_is_handed_out) {
  WorkQueue queue(100);
  std::int64_t done = 0;
  queue.work([&](std::int64_t i) {
    ++done;
    if (i == 9) throw std::runtime_error("no more");
  });
  BOOST_TEST(done == 10);
  BOOST_TEST((queue.take_failure() != nullptr));
  BOOST_TEST((queue.take_failure() == nullptr));
  queue.reset(100);
  done = 0;
  queue.work([&](std::int64_t i) {
    ++done;
    if (i == 4) queue.stop();
  });
  BOOST_TEST(done == 5);
  BOOST_TEST((queue.take_failure() == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace work_queue_test
