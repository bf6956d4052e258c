#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/ops/gradients.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/ops/threads.h>

#include "op_support.h"

namespace parallel_test {

using namespace tapegrad;
using namespace tapegrad::test;
using detail::parallel_for;

namespace {
// In a child of fork, what libc keeps of the parent's other threads belongs to nobody: no leak of ours.
[[maybe_unused]] bool forked = false;
}  // namespace
#if TAPEGRAD_ASAN
extern "C" int __lsan_is_turned_off() { return forked; }
#endif

namespace {

/// Puts the number of threads back.
struct Threads {
  int before = threads();
  explicit Threads(int n) { set_threads(n); }
  ~Threads() { set_threads(before); }
};

std::vector<int> counts_after(std::int64_t blocks) {
  std::vector<std::atomic<int>> count(static_cast<std::size_t>(blocks));
  parallel_for(blocks, [&](std::int64_t b) {
    count[static_cast<std::size_t>(b)].fetch_add(1, std::memory_order_relaxed);
  });
  return {count.begin(), count.end()};
}

bool all_once(const std::vector<int>& counts) {
  return std::all_of(counts.begin(), counts.end(), [](int n) { return n == 1; });
}

/// Blocks that meet: each waits until `wanted` of them run at once, so that only so many threads get through.
void meet(int wanted) {
  std::atomic<int> here{0};
  parallel_for(wanted, [&](std::int64_t) {
    here.fetch_add(1);
    while (here.load() < wanted) std::this_thread::yield();
  });
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && visit_dtype(a.dtype(), [&]<class T> {
           return a.size() == 0 ||
                  std::memcmp(a.values<T>().data(), b.values<T>().data(), a.values<T>().size_bytes()) == 0;
         });
}

/// f(), a list of tensors, with 1, 2 and 4 threads.
template <class F>
void check_same_bits(F&& f) {
  std::vector<Tensor> expected;
  for (const int n : {1, 2, 4, 3}) {
    const Threads limit(n);
    const std::vector<Tensor> results = f();
    if (n == 1) expected = results;
    for (std::size_t i = 0; i < results.size(); ++i)
      BOOST_TEST(same_bits(results[i], expected[i]), "result " << i << " differs with " << n << " threads");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parallel)

// No thread is woken for the few items that a long block leaves behind, and two have as much to do.
BOOST_AUTO_TEST_CASE(blocks_of_items_are_even) {
  using detail::blocks_of;
  using detail::even_length;
  for (const std::int64_t most : {1, 2, 7, 100})
    for (std::int64_t n = 0; n <= 10 * most; ++n) {
      const std::int64_t length = even_length(n, most), blocks = blocks_of(n, length);
      BOOST_TEST_REQUIRE(length >= 1);
      BOOST_TEST_REQUIRE(length <= most);
      BOOST_TEST_REQUIRE((blocks > 1) == (n > most));
      if (blocks > 1 && most == 100) BOOST_TEST_REQUIRE(blocks % 2 == 0);
      if (blocks > 1) BOOST_TEST_REQUIRE(length >= most / 2);
    }
}

BOOST_AUTO_TEST_CASE(blocks_of_elements_are_even) {
  using detail::blocks_of;
  using detail::even_grain;
  using detail::kGrain;
  for (std::int64_t n = 0; n <= 4 * kGrain; n += n % 997 ? 1 : 37) {
    const std::int64_t length = even_grain(n), blocks = blocks_of(n, length);
    BOOST_TEST_REQUIRE(length <= kGrain);
    BOOST_TEST_REQUIRE(length % 1024 == 0);
    BOOST_TEST_REQUIRE((blocks > 1) == (n > kGrain));
    if (blocks > 1) BOOST_TEST_REQUIRE(blocks % 2 == 0);
    if (blocks > 1) BOOST_TEST_REQUIRE(n - (blocks - 1) * length > length / 2);
  }
  BOOST_TEST(blocks_of(1'000'000'000, even_grain(1'000'000'000)) <= blocks_of(1'000'000'000, kGrain));
}

BOOST_AUTO_TEST_CASE(a_sum_is_shared_from_two_blocks_on) {
  const detail::ThreadLimit two(2);
  const auto jobs_of_sum = [](std::int64_t n) {
    const Tensor x = Tensor::full({n}, 1);
    const std::int64_t before = detail::shared_jobs_here();
    BOOST_TEST(sum(x).item() == static_cast<double>(n));
    return detail::shared_jobs_here() - before;
  };
  BOOST_TEST(jobs_of_sum(detail::kGrain + 1) == 0);
  BOOST_TEST(jobs_of_sum(2 * detail::kGrain - 1) == 0);
  BOOST_TEST(jobs_of_sum(2 * detail::kGrain) == 1);
}

BOOST_AUTO_TEST_CASE(number_of_threads) {
  const Threads before(3);
  BOOST_TEST(threads() == 3);
  for (const int bad : {0, -1, 257})
    BOOST_CHECK_EXCEPTION(set_threads(bad), ArgumentError,
                          mentions("set_threads", std::to_string(bad), "1 to 256"));
  BOOST_TEST(threads() == 3);
}

BOOST_AUTO_TEST_CASE(shared_jobs_are_counted) {
  const std::int64_t before = detail::shared_jobs_here();
  {
    const detail::ThreadLimit one(1);
    counts_after(64);
  }
  BOOST_TEST(detail::shared_jobs_here() == before);
  const detail::ThreadLimit two(2);
  counts_after(1);
  BOOST_TEST(detail::shared_jobs_here() == before);
  counts_after(64);
  BOOST_TEST(detail::shared_jobs_here() == before + 1);
}

BOOST_AUTO_TEST_CASE(each_block_runs_once) {
  for (const int n : {1, 2, 4}) {
    const Threads limit(n);
    for (const std::int64_t blocks : {0, 1, 2, 3, 7, 64, 1000}) {
      const std::vector<int> counts = counts_after(blocks);
      BOOST_TEST(counts.size() == static_cast<std::size_t>(blocks));
      BOOST_TEST(all_once(counts));
    }
  }
  const Threads limit(2);
  for (int i = 0; i < 2000; ++i) BOOST_TEST_REQUIRE(all_once(counts_after(1 + i % 9)));
}

BOOST_AUTO_TEST_CASE(ranges_cover_everything) {
  for (const std::int64_t n : {0, 1, 9, 10, 11, 25}) {
    std::vector<int> seen(static_cast<std::size_t>(n));
    std::atomic<std::int64_t> longest{0};  // Boost's checks are not made for several threads
    detail::parallel_ranges(n, 10, [&](std::int64_t from, std::int64_t to) {
      std::int64_t known = longest.load();
      while (to - from > known && !longest.compare_exchange_weak(known, to - from)) {
      }
      for (std::int64_t i = from; i < to; ++i) ++seen[static_cast<std::size_t>(i)];
    });
    BOOST_TEST(all_once(seen));
    BOOST_TEST(longest.load() == std::min<std::int64_t>(n, detail::even_length(n, 10)));
  }
}

BOOST_AUTO_TEST_CASE(as_many_threads_as_asked_work_together) {
  for (const int n : {2, 4, 3, 2}) {
    const Threads limit(n);
    meet(n);  // would wait for ever with fewer
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    parallel_for(200, [&](std::int64_t) {
      const int now = inside.fetch_add(1) + 1;
      for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::yield();
      inside.fetch_sub(1);
    });
    BOOST_TEST(most.load() <= n);
  }
}

BOOST_AUTO_TEST_CASE(blocks_inside_blocks_run_inline) {
  const Threads limit(2);
  std::atomic<int> done{0};
  parallel_for(8, [&](std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    parallel_for(5, [&](std::int64_t) { done += std::this_thread::get_id() == outer; });
  });
  BOOST_TEST(done.load() == 40);
}

BOOST_AUTO_TEST_CASE(the_exception_of_the_lowest_block_arrives) {
  for (const int n : {1, 2, 4}) {
    const Threads limit(n);
    for (int i = 0; i < 50; ++i) {
      const auto run = [&] {
        parallel_for(40, [&](std::int64_t b) {
          if (b % 10 == 3) throw std::runtime_error("block " + std::to_string(b));
        });
      };
      BOOST_CHECK_EXCEPTION(run(), std::runtime_error,
                            [](const auto& e) { return std::string(e.what()) == "block 3"; });
      BOOST_TEST_REQUIRE(all_once(counts_after(10)));  // the pool is as good as before
    }
  }
}

BOOST_AUTO_TEST_CASE(several_callers_at_once) {
  const Threads limit(2);
  std::vector<std::thread> callers;
  std::atomic<int> failures{0};
  for (int i = 0; i < 3; ++i)
    callers.emplace_back([&failures] {
      for (int j = 0; j < 300; ++j) failures += !all_once(counts_after(1 + j % 20));
    });
  for (std::thread& t : callers) t.join();
  BOOST_TEST(failures.load() == 0);
}

// ---- results do not depend on the number of threads ----

BOOST_AUTO_TEST_CASE(products_have_the_same_bits) {
  struct Product {
    std::int64_t m, n, k;
    bool transpose_a = false, transpose_b = false;
  };
  const std::vector<Product> products{// cut by rows and by columns, evenly and not
                                      {300, 200, 70},
                                      {200, 331, 64, true, false},
                                      {1000, 17, 300, false, true},
                                      {33, 1200, 130, true, true},
                                      {130, 170, 160},
                                      {145, 257, 400, false, true},
                                      {500, 60, 145, true, false},
                                      // too small to be cut; vectors; outer products
                                      {50, 40, 30},
                                      {2100, 1, 1600},
                                      {2100, 1, 1600, true, false},
                                      {1, 2100, 1600},
                                      {1, 2100, 1600, false, true},
                                      {2100, 1600, 1}};
  for (const Dtype dtype : {f32, f64}) {
    const Tensor elements = random({2100 * 1600}, dtype, -1, 1);
    const auto matrix = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
      return reshape(slice(elements, 0, 0, rows * columns),
                     transposed ? Shape{columns, rows} : Shape{rows, columns});
    };
    for (const auto& [m, n, k, ta, tb] : products)
      BOOST_TEST_CONTEXT(m << " x " << n << " x " << k << " of " << name_of(dtype)) {
        const Tensor a = matrix(m, k, ta);
        const Tensor b = matrix(k, n, tb);
        const MatmulOptions options{ta, tb};
        check_same_bits([&] { return std::vector{matmul(a, b, options)}; });
      }
  }
}

BOOST_AUTO_TEST_CASE(training_has_the_same_bits) {
  const Tensor x = random({300, 120}, f32, -1, 1, 1);
  const Tensor labels = random({300}, i64, 0, 9, 2);
  const Tensor batch = random({40, 30, 60}, f32, -1, 1, 3);
  const Parameter w1(random({120, 130}, f32, -0.1, 0.1, 4)), b1(random({130}, f32, -1, 1, 5));
  const Parameter w2(random({130, 10}, f32, -0.1, 0.1, 6)), b2(random({10}, f32, -1, 1, 7));
  check_same_bits([&] {
    Tape tape;
    const Tensor y = affine(relu(affine(x, w1, b1)), w2, b2);
    const Tensor products = matmul(batch, batch, {.transpose_b = true});
    const Tensor loss =
        softmax_with_loss(y, labels) + mse_loss(products, products * 0.5) + mean(log_softmax(y, 0));
    const Tensor value = loss.detach();
    Gradients g = tape.backward(loss);
    const double norm = clip_global_norm(g, 1e-3);
    return std::vector{value, Tensor::scalar(norm, f64), g[w1], g[b1], g[w2], g[b2]};
  });
}

BOOST_AUTO_TEST_CASE(picks_running_sums_and_casts_have_the_same_bits) {
  for (const Dtype dtype : {f32, f64})
    for (const Shape& shape : {Shape{9, 700}, Shape{700, 9}, Shape{40, 9, 130}, Shape{9}})
      for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
        if (shape[axis] != 9) continue;
        const auto a = static_cast<std::int64_t>(axis);
        const Tensor x = random(shape, dtype, -1, 1, 1);
        const Tensor entries = random({400}, i64, 0, 8, 2);
        const Tensor elements = random(shape.with(axis, 400), i64, 0, 8, 3);
        const Tensor src = random(shape.with(axis, 400), dtype, -1, 1, 4);
        const Tensor other = cast(src, dtype == f32 ? f64 : f32);
        BOOST_TEST_CONTEXT(to_string(shape) << " of " << name_of(dtype)) {
          check_same_bits([&] {
            Tape tape;
            const Tensor w = tape.watch(x);
            const Tensor picked = gather(w, a, elements) * src + index_select(w, a, entries);
            Gradients g = tape.backward(sum(square(picked)));
            return std::vector{picked.detach(),
                               g[w],
                               scatter_add(x, a, elements, src),
                               index_add(x, a, entries, src),
                               cumsum(src, a),
                               cumsum(flip(src, {a}), a),
                               cast(src, other.dtype()),
                               cast(src * 1000, i64)};
          });
        }
      }
}

BOOST_AUTO_TEST_CASE(products_of_several_threads_at_once) {
  const Threads limit(2);
  const Tensor a = random({200, 210}, f32, -1, 1, 1);
  const Tensor b = random({210, 220}, f32, -1, 1, 2);
  const Tensor expected = matmul(a, b);
  std::vector<std::thread> callers;
  std::atomic<int> failures{0};
  for (int i = 0; i < 3; ++i)
    callers.emplace_back([&] {
      for (int j = 0; j < 5; ++j) failures += !same_bits(matmul(a, b), expected);
    });
  for (std::thread& t : callers) t.join();
  BOOST_TEST(failures.load() == 0);
}

// ---- a good neighbour ----

#if !TAPEGRAD_TSAN  // the thread sanitizer allows no new threads after a fork
BOOST_AUTO_TEST_CASE(a_forked_child_computes) {
  const Threads limit(2);
  const Tensor a = random({200, 210}, f32, -1, 1, 1);
  const Tensor expected = matmul(a, a, {.transpose_b = true});
  meet(2);
  // The pool may be in use by another thread at the moment of the fork. That thread has started and takes no memory
  // then: a lock of the address sanitizer's allocator, held at the fork, would never be free again in the child.
  std::atomic<bool> started{false};
  std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      parallel_for(16, [](std::int64_t) {});
      started = true;
    }
  });
  while (!started) std::this_thread::yield();
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);
      const bool right =
          all_once(counts_after(50)) && same_bits(matmul(a, a, {.transpose_b = true}), expected);
      meet(2);  // its own threads
      ::_exit(right ? 0 : 1);
    }
    BOOST_TEST_REQUIRE(child > 0);
    int status = -1;
    BOOST_TEST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_TEST_REQUIRE(status == 0);
  }
  other.request_stop();
  other.join();
  BOOST_TEST(all_once(counts_after(50)));
}

BOOST_AUTO_TEST_CASE(exit_with_threads_asleep_or_at_work) {
  const Threads limit(2);
  for (const bool at_work : {false, true}) {
    std::fflush(nullptr);  // or the child would print it again
    const pid_t child = ::fork();
    if (child == 0) {
      forked = true;
      ::alarm(20);
      meet(2);
      if (at_work)
        std::thread([] {
          for (;;) (void)counts_after(16);
        }).detach();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      std::exit(0);
    }
    int status = -1;
    BOOST_TEST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_TEST(status == 0);
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace parallel_test
