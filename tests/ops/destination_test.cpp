// Results that are written, or added to what is there.
#include <cstdint>
#include <limits>
#include <vector>

#include <tapegrad/ops/loops/destination.h>

#include "kernel_support.h"

namespace destination_test {

using namespace tapegrad;
using namespace tapegrad::test;
using namespace tapegrad::detail;

BOOST_AUTO_TEST_SUITE(destination)

namespace {
template <class T, class F>
void check_both_ways(std::int64_t n, F&& put) {
  for (const bool add : {false, true}) {
    std::vector<T> values(static_cast<std::size_t>(n), T{10});
    put(Destination<T>{values.data(), add});
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < n; ++i)
      wrong += values[static_cast<std::size_t>(i)] != static_cast<T>(3 * i + (add ? 10 : 0));
    BOOST_TEST(wrong == 0, "n = " << n << ", add = " << add);
  }
}
}  // namespace

BOOST_AUTO_TEST_CASE(results_are_written_or_added) {
  for_each_isa([] {
    for (const std::int64_t n : {0, 1, 7, 16, 64, 65, 200, 5000}) {
      const auto all = [n]<class T>(Destination<T> to) {
        to.put(n, [](std::int64_t i) { return static_cast<T>(3 * i); });
      };
      check_both_ways<float>(n, all);
      check_both_ways<double>(n, all);
      check_both_ways<std::int64_t>(n, all);
      check_both_ways<double>(n, [n](Destination<double> to) {
        to.through(n, [n](double* out) {
          for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<double>(3 * i);
        });
      });
      check_both_ways<double>(n, [n](Destination<double> to) {
        for (std::int64_t i = 0; i < n; ++i)
          to.choose([&](auto put) { put((to + i).data[0], static_cast<double>(3 * i)); });
      });
    }
  });
}

BOOST_AUTO_TEST_CASE(integers_wrap_around) {
  std::int64_t value = std::numeric_limits<std::int64_t>::max();
  Destination<std::int64_t>{&value, true}.put(1, [](std::int64_t) { return std::int64_t{1}; });
  BOOST_TEST(value == std::numeric_limits<std::int64_t>::min());
}

BOOST_AUTO_TEST_CASE(only_what_is_written_first_is_cleared) {
  for (const bool add : {false, true}) {
    std::vector<double> values(5, 2.0);
    Destination<double>{values.data(), add}.clear(5);
    for (const double v : values) BOOST_TEST(v == (add ? 2 : 0));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace destination_test
