// Memory to work in: the stack's or the pool's.
#include <cstdint>

#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/graph/storage.h>
#include <tapegrad/ops/loops/workspace.h>

#include <boost/test/unit_test.hpp>

namespace workspace_test {

using namespace tapegrad;
using namespace tapegrad::detail;

BOOST_AUTO_TEST_SUITE(workspace)

BOOST_AUTO_TEST_CASE(memory_of_any_size_is_aligned_and_whole) {
  for (const std::int64_t n : {0, 1, 31, 32, 33, 1000, 100000}) {
    Workspace<double, 256> w(n);
    BOOST_TEST(w.size() == n);
    BOOST_TEST(w.end() - w.begin() == n);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(w.data()) % 64 == 0u);
    for (std::int64_t i = 0; i < n; ++i) w[i] = static_cast<double>(i);
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < n; ++i) wrong += w[i] != static_cast<double>(i);
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(large_memory_comes_back_to_the_pool) {
  const auto use = [] { Workspace<float> large(100'000); };
  use();
  const std::uint64_t before = system_allocations();
  for (int i = 0; i < 10; ++i) use();
#if !TAPEGRAD_ASAN  // whose build reuses no block
  BOOST_TEST(system_allocations() == before);
#else
  BOOST_TEST(system_allocations() >= before);
#endif
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace workspace_test
