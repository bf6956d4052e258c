// Where memory runs out while batches are made, by the loop or by workers, an exception says so, and another loop
// gets all.
#include <cstddef>
#include <cstdint>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "out_of_memory_support.h"

namespace out_of_memory_data_test {

using namespace tapegrad;
using test::bytes_of;
using test::fail_each;

BOOST_AUTO_TEST_SUITE(out_of_memory_data)

#if TAPEGRAD_COUNT_ALLOCATIONS

namespace {

class Source final : public nn::DataSource {
 public:
  std::int64_t size() const override { return 10; }
  nn::Item item(std::int64_t i) const override {
    const std::vector<float> values(50, static_cast<float>(i));  // which throws std::bad_alloc
    return {.x = Tensor::from(values, Shape{50}), .more = {{"a long name of a tensor", Tensor::scalar(2)}}};
  }
};

/// Batches of items that are made, mapped and transformed; and of named tensors.
struct Loop {
  nn::Dataset made = nn::Dataset(std::make_shared<Source>()).map([](nn::Batch b) {
    b.set("square", b.x * b.x);
    return b;
  });
  nn::Dataset held{nn::NamedTensors{{"a", Tensor::ones({10, 3})}, {"t", Tensor::arange(10)}}};
  std::int64_t workers;
  nn::State seen;

  explicit Loop(std::int64_t n) : workers(n) {}
  void go() {
    seen.clear();
    const nn::Transform noise = [](nn::Batch b, Generator& g) {
      b.set("noise", randn({b.size(), 20}, g));
      return b;
    };
    for (const nn::Dataset& data : {made, held}) {
      const nn::DataLoader loader(data, {.batch = 3, .transform = noise, .workers = workers});
      for (const nn::Batch& b : loader.epoch(1))
        for (const std::string& name : b.names()) seen.emplace_back(name, b[name].copy());
    }
  }
  std::vector<std::byte> result() const { return bytes_of(seen); }
};

}  // namespace

BOOST_AUTO_TEST_CASE(loops_that_make_their_batches) {
  const std::uint64_t points = fail_each([] { return std::make_unique<Loop>(0); });
  BOOST_TEST(points > 100U);
}

// Which call fails differs from run to run, as workers and the loop ask for memory at the same time.
BOOST_AUTO_TEST_CASE(loops_with_workers) {
  {  // Threads that are there at the same time leave a record each, which is no loss: others adopt them.
    std::latch all_there(3);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i)
      threads.emplace_back([&] {
        Tensor::zeros({1});
        all_there.arrive_and_wait();
      });
  }
  for (const std::int64_t workers : {1, 3}) {
    const std::uint64_t points = fail_each([&] { return std::make_unique<Loop>(workers); });
    BOOST_TEST(points > 100U);
  }
}

#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace out_of_memory_data_test
