#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include <tapegrad/graph/arena.h>
#include <tapegrad/graph/tape_view.h>

#include "tape_support.h"

#include <pthread.h>

namespace tape_chain_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(tape_chain)

namespace {

/// Runs f in a thread whose stack a recursion over the graph would overflow.
void with_small_stack(const std::function<void()>& f) {
  pthread_attr_t attributes;
  BOOST_REQUIRE(pthread_attr_init(&attributes) == 0);
  BOOST_REQUIRE(pthread_attr_setstacksize(&attributes, std::size_t{256} << 10) == 0);
  pthread_t thread;
  const auto entry = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  BOOST_REQUIRE(pthread_create(&thread, &attributes, entry, const_cast<std::function<void()>*>(&f)) == 0);
  pthread_attr_destroy(&attributes);
  BOOST_REQUIRE(pthread_join(thread, nullptr) == 0);
}

Tensor chain(const Tensor& x, int nodes) {
  Tensor y = x;
  for (int i = 0; i < nodes / 2; ++i) y = (y + x) * 0.5;  // toward x
  return y;
}

}  // namespace

// ---- 8: a loop over an arena ----

BOOST_AUTO_TEST_CASE(clause_8_a_million_nodes_forward_backward_and_destruction) {
  constexpr int kNodes = 1'000'000;
  double value = 0, gradient = 0;
  std::size_t recorded = 0;
  with_small_stack([&] {
    const Parameter p = parameter(3);
    Tape tape;
    const Tensor y = chain(p, kNodes);
    recorded = tape.size();
    const Gradients g = tape.backward(y);
    value = y.item();
    gradient = g[p].item();
  });
  BOOST_TEST(recorded == kNodes + 1u);
  BOOST_TEST(value == 3);
  BOOST_TEST(gradient == 1);
}

BOOST_AUTO_TEST_CASE(clause_8_a_million_nodes_that_are_never_differentiated) {
  const Parameter p = parameter(1);
  with_small_stack([&] {
    Tape tape;
    Tensor y = p;
    for (int i = 0; i < 1'000'000; ++i) y = y * p;
    if (tape.size() != 1'000'001u) throw Error("not recorded");
  });
  BOOST_TEST(unique(p));  // every saved value was released
}

BOOST_AUTO_TEST_CASE(clause_8_a_long_chain_kept_and_repeated) {
  std::vector<double> gradients;
  with_small_stack([&] {
    const Parameter p = parameter(3);
    Tape tape;
    const Tensor y = chain(p, 100'000);
    gradients.push_back(tape.backward(y, RetainGraph::yes)[p].item());
    gradients.push_back(tape.grad(y, p).item());
    gradients.push_back(tape.backward(y)[p].item());
  });
  BOOST_TEST(gradients == (std::vector<double>{1, 1, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(clause_8_a_long_chain_of_recorded_gradients) {
  double first = 0, second = 0;
  with_small_stack([&] {
    const Parameter p = parameter(1);
    Tape tape;
    const Tensor x = p;
    Tensor y = x;
    for (int i = 0; i < 2'000; ++i) y = y * (x * 1.0);  // x^2001
    const Tensor g = tape.grad(y, x, {.record = Record::yes});
    first = g.item();
    second = tape.grad(g, x).item();
  });
  BOOST_TEST(first == 2001);
  BOOST_TEST(second == 2001.0 * 2000.0);
}

BOOST_AUTO_TEST_CASE(clause_8_a_tape_in_a_loop_takes_its_memory_from_the_pool) {
  const Parameter p = parameter(1);
  const auto step = [&] {
    Tape tape;
    return tape.backward(chain(p, 10'000))[p].item();
  };
  BOOST_TEST(step() == 1);
  const std::uint64_t before = system_allocations();
  for (int i = 0; i < 3; ++i) BOOST_TEST(step() == 1);
  const std::uint64_t later = system_allocations();
  Tensor probe = Tensor::empty({7});
  probe = Tensor();
  probe = Tensor::empty({7});
  if (system_allocations() == later + 2) return;  // the address sanitizer's build reuses nothing
  BOOST_TEST(later == before);
}

BOOST_AUTO_TEST_CASE(clause_8_the_nodes_of_a_tape_are_listed_in_order_of_recording) {
  const Parameter p = parameter(1);
  Tape tape;
  const Tensor y = exp(p) * 2.0;
  const TapeView nodes(tape);
  BOOST_TEST(nodes.size() == 3u);
  BOOST_TEST(nodes[0].is_leaf());
  BOOST_TEST(nodes[1].op() == "exp");
  BOOST_TEST(nodes[2].op() == "mul.scalar");
  for (std::size_t i = 0; i < 3; ++i) BOOST_TEST(nodes[i].index() == i);
  BOOST_TEST((nodes.find(y) == std::size_t{2}));
}

// ---- the arena ----

BOOST_AUTO_TEST_CASE(clause_8_the_arena_aligns_and_keeps_apart) {
  detail::Arena arena;
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  std::size_t total = 0;
  for (std::size_t i = 0; i < 3000; ++i) {
    const std::size_t align = std::size_t{1} << (i % 9);  // up to 256, beyond what chunks are aligned to
    const std::size_t bytes = 1 + (i * 37) % 300 + (i % 500 == 499 ? 100'000 : 0);
    auto* p = static_cast<unsigned char*>(arena.allocate(bytes, align));
    BOOST_REQUIRE(reinterpret_cast<std::uintptr_t>(p) % align == 0);
    std::fill_n(p, bytes, static_cast<unsigned char>(i));
    blocks.emplace_back(p, bytes);
    total += bytes;
  }
  for (std::size_t i = 0; i < blocks.size(); ++i)
    BOOST_REQUIRE(std::all_of(blocks[i].first, blocks[i].first + blocks[i].second,
                              [&](unsigned char c) { return c == static_cast<unsigned char>(i); }));
  BOOST_TEST(arena.capacity() >= total);
  BOOST_TEST(arena.capacity() < 3 * total);
}

BOOST_AUTO_TEST_CASE(clause_8_the_arena_returns_to_a_position) {
  detail::Arena arena;
  const auto beginning = arena.position();
  void* first = arena.allocate(8);
  const auto early = arena.position();
  void* second = arena.allocate(8);
  for (int i = 0; i < 100; ++i) arena.allocate(5000);
  const std::size_t capacity = arena.capacity();
  const auto late = arena.position();
  void* after = arena.allocate(8);
  arena.rewind(late);
  BOOST_TEST(arena.allocate(8) == after);
  arena.rewind(early);
  BOOST_TEST(arena.allocate(8) == second);
  arena.rewind(beginning);
  BOOST_TEST(arena.allocate(8) == first);
  for (int i = 0; i < 100; ++i) arena.allocate(5000);
  BOOST_TEST(arena.capacity() == capacity);
  // A block larger than the chunks that are left replaces them.
  arena.rewind(beginning);
  auto* big = static_cast<unsigned char*>(arena.allocate(3'000'000));
  std::fill_n(big, 3'000'000, static_cast<unsigned char>(1));
  BOOST_TEST(arena.capacity() >= 3'000'000u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tape_chain_test
