// Blocks of the pool on one thread; between threads: storage_threads_test.cpp.
#include <cstdint>
#include <new>
#include <optional>
#include <vector>

#include <tapegrad/graph/errors.h>

#include <boost/test/unit_test.hpp>

#include "storage_support.h"
#include "support.h"

namespace storage_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(storage)

BOOST_AUTO_TEST_CASE(a_released_block_serves_the_next_tensor_of_its_size) {
  if (!pooled()) return;
  const Shape shape{1234};
  Tensor a = Tensor::zeros(shape);
  const float* old = a.values<float>().data();
  const std::uint64_t before = system_allocations();
  a = {};
  for (int i = 0; i < 100; ++i) {
    const Tensor b = Tensor::zeros(shape);
    BOOST_TEST(b.values<float>().data() == old);
  }
  BOOST_TEST(system_allocations() == before);
}

BOOST_AUTO_TEST_CASE(blocks_of_other_size_classes_are_not_used) {
  if (!pooled()) return;
  trim();  // of what other suites have left
  { const Tensor small = Tensor::zeros({1000}); }
  const std::uint64_t before = system_allocations();
  std::vector<Tensor> held;
  for (int i = 0; i < 3; ++i) held.push_back(Tensor::zeros({100'003}));
  BOOST_TEST(system_allocations() == before + 3);
  trim();
  held.clear();
  trim();
  held.push_back(Tensor::zeros({100'003}));
  BOOST_TEST(system_allocations() == before + 4);
}

BOOST_AUTO_TEST_CASE(every_size_holds_its_elements) {
  for (std::int64_t size = 0; size < 300; ++size) {
    const Tensor a = stamped(size, size);
    const Tensor b = stamped(-1, size);
    BOOST_TEST(intact(a));
    if (size > 0) BOOST_TEST(address(a)[size - 1] == size);
    // A scalar shares a cache line with its head; the others start on a line of their own.
    const std::uintptr_t alignment = size <= 2 ? 16 : 64;
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(address(a)) % alignment == 0U);
  }
}

BOOST_AUTO_TEST_CASE(sizes_beyond_the_machine_are_refused) {
  BOOST_CHECK_EXCEPTION(Tensor::empty({std::int64_t{1} << 59}, f64), OutOfMemory,
                        test::mentions("tensor [576460752303423488] of f64", "4611686018427387904 bytes"));
  detail::PoolAllocator<double> allocator;
  BOOST_CHECK_THROW(allocator.deallocate(allocator.allocate(~std::size_t{0} / 8), 1), std::bad_alloc);
  // The pool is as it was.
  BOOST_TEST(Tensor::ones({3}).size() == 3);
}

BOOST_AUTO_TEST_CASE(uniqueness_counts_all_handles) {
  const Tensor a = Tensor::zeros({5});
  BOOST_TEST(unique(a));
  {
    const Tensor b = a;
    BOOST_TEST(!unique(a));
  }
  BOOST_TEST(unique(a));
  std::optional<Tensor> elsewhere;
  in_thread([&] { elsewhere = a; });
  BOOST_TEST(!unique(a));
  in_thread([&] { elsewhere.reset(); });
  BOOST_TEST(unique(a));
  in_thread([&] { BOOST_TEST(!unique(a)); });  // another thread may not overwrite what this one owns
}

BOOST_AUTO_TEST_CASE(versions_count_mutations_of_all_views) {
  Tensor a = Tensor::zeros({2, 3});
  Tensor b = detail::TensorAccess::view(a, 3, {3});
  b.mutable_values<float>()[0] = 5;
  BOOST_TEST(a.version() == 1U);
  BOOST_TEST(a.values<float>()[3] == 5);
  in_thread([&] { BOOST_TEST(a.version() == 1U); });
  a = {};
  BOOST_TEST(b.values<float>()[0] == 5);
  b = {};
  BOOST_TEST(Tensor::zeros({2, 3}).version() == 0U);  // not that of the block's former life
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace storage_test
