// Threads that prepare batches ahead of the loop.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "images_source.h"
#include "support.h"
#include "trainer_support.h"

namespace loader_workers_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Batch;
using nn::DataLoader;
using nn::Dataset;

BOOST_AUTO_TEST_SUITE(loader_workers)

namespace {

/// Each batch: the values of all its tensors.
std::vector<std::vector<double>> values_of_batches(nn::Batches range) {
  std::vector<std::vector<double>> all;
  for (const Batch& b : range) {
    all.emplace_back();
    for (const std::string& name : b.names())
      for (const double v : cast(b[name], f64).to_vector<double>()) all.back().push_back(v);
  }
  return all;
}

template <class F>
bool comes_true(F f) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!f()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

}  // namespace

BOOST_AUTO_TEST_CASE(batches_are_the_same_to_the_bit_for_any_number_of_workers) {
  const Dataset data = slow_images(53).slice(1, 52).split(3, 1).training;
  for (const bool drop_last : {false, true})
    for (const bool shuffle : {true, false})
      for (const bool transform : {true, false}) {
        nn::LoaderOptions options{
            .batch = 5, .shuffle = shuffle, .drop_last = drop_last, .seed = 3, .transform_seed = 4};
        if (transform) options.transform = augmentation();
        const DataLoader plain(data, options);
        const std::vector<std::vector<double>> expected = values_of_batches(plain.epoch(2));
        BOOST_TEST(expected.size() == (drop_last ? 9U : 10U));
        for (const std::int64_t workers : {1, 2, 4, 16})
          for (const std::int64_t prefetch : {0, 1, 3, 1'000'000'000}) {
            options.workers = workers;
            options.prefetch = prefetch;
            const DataLoader loader(data, options);
            BOOST_TEST(loader.epoch(2).size() == std::ssize(expected));
            BOOST_TEST((values_of_batches(loader.epoch(2)) == expected));
            for (const std::int64_t first : {4, 9}) {  // an epoch that was interrupted
              const std::vector<std::vector<double>> rest(expected.begin() + first, expected.end());
              BOOST_TEST((values_of_batches(loader.epoch(2, first)) == rest));
            }
            BOOST_TEST(values_of_batches(loader.epoch(2, loader.size())).empty());
          }
      }
}

BOOST_AUTO_TEST_CASE(evaluation_is_the_same_with_workers) {
  const Dataset data = slow_images(53);
  const std::vector<std::vector<double>> expected =
      values_of_batches(nn::in_order(data, 6, nn::CenterCrop(2, 2)));
  for (const std::int64_t workers : {1, 3})
    BOOST_TEST((values_of_batches(nn::in_order(data, 6, nn::CenterCrop(2, 2), workers)) == expected));
  Generator rng(1);
  nn::Sequential net{nn::Flatten(), nn::Affine(16, 60, rng)};
  const nn::Score score = nn::evaluate(net, data, {}, 10);
  BOOST_TEST(nn::evaluate(net, data, {}, 10, {}, 2).loss == score.loss);
}

BOOST_AUTO_TEST_CASE(workers_are_ahead_by_no_more_than_was_said) {
  for (const std::int64_t workers : {1, 2, 4})
    for (const std::int64_t prefetch : {1, 2, 5}) {
      std::atomic<std::int64_t> begun{0};
      const auto source = std::make_shared<Images>(40, [&](std::int64_t) { ++begun; });
      const DataLoader loader(Dataset(source),
                              {.batch = 2, .shuffle = false, .workers = workers, .prefetch = prefetch});
      nn::Batches epoch = loader.epoch(0);
      BOOST_TEST(begun == 0);
      std::int64_t taken = 0;
      for (const Batch& b : epoch) {
        taken += b.size();
        const std::int64_t most = std::min<std::int64_t>(taken + 2 * prefetch, 40);
        BOOST_TEST_REQUIRE(comes_true([&] { return begun == most; }));  // they do go ahead
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        BOOST_TEST_REQUIRE(begun == most);
      }
      BOOST_TEST(taken == 40);
      BOOST_TEST(begun == 40);
    }
}

BOOST_AUTO_TEST_CASE(several_workers_are_at_work_at_once) {
  std::atomic<int> inside{0};
  std::atomic<bool> met{false};
  const auto source = std::make_shared<Images>(8, [&](std::int64_t) {
    ++inside;
    if (comes_true([&] { return inside >= 3 || met; })) met = true;
    --inside;
  });
  std::int64_t batches = 0;
  for (const Batch& b : DataLoader(Dataset(source), {.batch = 1, .workers = 3}).epoch(0)) batches += b.size();
  BOOST_TEST(batches == 8);
  BOOST_TEST(met);
}

BOOST_AUTO_TEST_CASE(workers_have_one_thread_and_no_signals) {
  std::atomic<int> wrong{0};
  std::atomic<int> in_loop{0};
  const std::thread::id mine = std::this_thread::get_id();
  const auto source = std::make_shared<Images>(10, [&](std::int64_t) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    if (detail::threads_here() != 1 || sigismember(&blocked, SIGTERM) != 1) ++wrong;
    if (std::this_thread::get_id() == mine) ++in_loop;
  });
  const detail::ThreadLimit two(2);
  for (const Batch& b : DataLoader(Dataset(source), {.batch = 2, .workers = 2}).epoch(0))
    BOOST_TEST(b.size() == 2);
  BOOST_TEST(wrong == 0);
  BOOST_TEST(in_loop == 0);
  BOOST_TEST(detail::threads_here() == 2);
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  BOOST_TEST(sigismember(&blocked, SIGTERM) == 0);
}

BOOST_AUTO_TEST_CASE(an_exception_arrives_at_its_batch) {
  for (const std::int64_t workers : {0, 1, 2, 4})
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto source = std::make_shared<Images>(40, [&](std::int64_t i) {
        if (i == 13 || i == 31) throw FileError("item " + std::to_string(i) + " is damaged");
      });
      const DataLoader loader(Dataset(source), {.batch = 4, .shuffle = false, .workers = workers});
      std::vector<std::int64_t> seen;
      const auto walk = [&](std::int64_t first) {
        for (const Batch& b : loader.epoch(0, first)) seen.push_back(b.t.values<std::int64_t>()[0]);
      };
      BOOST_CHECK_EXCEPTION(walk(0), FileError, mentions("item 13 is damaged"));
      BOOST_TEST(seen == (std::vector<std::int64_t>{0, 4, 8}));
      BOOST_CHECK_EXCEPTION(walk(4), FileError, mentions("item 31 is damaged"));
      BOOST_TEST(seen.back() == 24);
      BOOST_CHECK_NO_THROW(walk(8));
      BOOST_TEST(seen.back() == 36);
      // Whoever goes on behind it gets what comes next.
      nn::Batches epoch = loader.epoch(0, 2);
      nn::Batches::Iterator at = epoch.begin();
      BOOST_CHECK_THROW(++at, FileError);
      BOOST_TEST((at == epoch.end()));
      ++at;
      BOOST_TEST(at->t.values<std::int64_t>()[0] == 16);
    }
}

BOOST_AUTO_TEST_CASE(memory_that_runs_out_in_a_worker_is_told) {
  for (const std::int64_t workers : {0, 2}) {
    const auto source = std::make_shared<Images>(40, [&](std::int64_t i) {
      if (i == 13) throw std::bad_alloc();
      if (i == 29) (void)Tensor::empty({std::int64_t{1} << 58});
    });
    const DataLoader loader(Dataset(source), {.batch = 4, .shuffle = false, .workers = workers});
    const auto walk = [&](std::int64_t first) {
      for (const Batch& b : loader.epoch(0, first)) (void)b;
    };
    BOOST_CHECK_EXCEPTION(walk(0), OutOfMemory, mentions("batch 3"));
    BOOST_CHECK_THROW(walk(4), OutOfMemory);
  }
}

BOOST_AUTO_TEST_CASE(transforms_that_do_not_fit_are_refused_in_the_loop) {
  const nn::Transform dropping = [](const Batch& b, Generator&) { return Batch{slice(b.x, 0, 0, 1), b.t}; };
  const auto walk = [&] {
    for (const Batch& b :
         DataLoader(slow_images(20), {.batch = 5, .transform = dropping, .workers = 2}).epoch(0))
      BOOST_ERROR("a batch of " << b.size());
  };
  BOOST_CHECK_EXCEPTION(walk(), ShapeError, mentions("batch of 5 items"));
}

BOOST_AUTO_TEST_CASE(a_loop_may_be_left_at_any_time) {
  std::atomic<int> alive{0};
  struct Counter {
    std::atomic<int>& n;
    explicit Counter(std::atomic<int>& count) : n(count) { ++n; }
    ~Counter() { --n; }
  };
  const auto source = std::make_shared<Images>(60, [&](std::int64_t i) {
    const Counter counter(alive);
    if (i % 5 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
  });
  const Dataset data(source);
  for (const std::int64_t workers : {1, 3}) {
    const DataLoader loader(data, {.batch = 3, .workers = workers});
    for (std::int64_t last = 0; last < 20; ++last) {
      std::int64_t n = 0;
      for (const Batch& b : loader.epoch(0)) {
        n += b.size() == 3;
        if (n > last) break;
      }
      BOOST_TEST(alive == 0);  // nobody is at work any more
    }
    const auto thrown = [&] {
      for (const Batch& b : loader.epoch(0))
        throw std::runtime_error("left with " + std::to_string(b.size()));
    };
    BOOST_CHECK_EXCEPTION(thrown(), std::runtime_error, mentions("left with 3"));
    BOOST_TEST(alive == 0);
    nn::Batches never = loader.epoch(0);  // not begun
    nn::Batches epoch = loader.epoch(1);
    const float first = epoch.begin()->x.values<float>()[0];
    nn::Batches moved = std::move(epoch);  // at its first batch
    never = std::move(moved);
    BOOST_TEST(values_of_batches(std::move(never)).size() == 20U);  // from the first one again
    BOOST_TEST(values_of_batches(loader.epoch(1))[0][0] == first);
    BOOST_TEST(alive == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_batch_that_is_held_stays_when_its_worker_has_ended) {
  std::vector<Batch> held;
  for (const Batch& b : DataLoader(slow_images(40), {.batch = 4, .shuffle = false, .workers = 3}).epoch(0))
    held.push_back(b);
  BOOST_TEST(held.size() == 10U);
  float next = 0;
  for (const Batch& b : held)
    for (const float v : b.x.values<float>()) BOOST_TEST_REQUIRE(v == next++);
  BOOST_TEST(next == 640);
}

BOOST_AUTO_TEST_CASE(wrong_numbers_are_refused) {
  const Dataset data = slow_images(10);
  BOOST_CHECK_EXCEPTION(DataLoader(data, {.batch = 2, .workers = -1}), ArgumentError, mentions("-1 workers"));
  BOOST_CHECK_EXCEPTION(DataLoader(data, {.batch = 2, .workers = 257}), ArgumentError,
                        mentions("257", "256"));
  BOOST_CHECK_EXCEPTION(DataLoader(data, {.batch = 2, .prefetch = -2}), ArgumentError, mentions("-2"));
  BOOST_CHECK_EXCEPTION(nn::in_order(data, 2, {}, -3), ArgumentError, mentions("in_order", "-3"));
  nn::MultiLayerNet net = quarter_net();
  optim::SGD sgd(net, 0.1);
  BOOST_CHECK_EXCEPTION(nn::Trainer(net, sgd, {.workers = -1}), ArgumentError, mentions("workers is -1"));
}

// ---- a good neighbour ----

#if !TAPEGRAD_TSAN  // the thread sanitizer does not follow forks
BOOST_AUTO_TEST_CASE(the_child_of_a_fork_goes_on_without_workers) {
  const DataLoader loader(slow_images(60), {.batch = 3, .shuffle = false, .workers = 2});
  // The loop goes on in both processes, or is left by the child. 0: both have had the right batches.
  const auto fork_within = [&](bool leaves) {
    std::int64_t seen = 0;
    pid_t child = -1;
    for (const Batch& b : loader.epoch(0)) {
      if (b.t.values<std::int64_t>()[0] != seen) {
        if (child == 0) std::_Exit(2);
        return 2;
      }
      seen += b.size();
      if (seen == 12) {
#if TAPEGRAD_ASAN
        // A lock of its allocator, held by a worker at the fork, would never be free again in the child.
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
#endif
        child = ::fork();
        if (child == 0) ::alarm(20);
      }
      if (child == 0 && leaves) break;
    }
    if (child == 0) {
      for (const Batch& b : loader.epoch(1)) seen += b.size();  // with workers of its own
      std::_Exit(seen == (leaves ? 72 : 120) ? 0 : 1);
    }
    int status = -1;
    return ::waitpid(child, &status, 0) == child && seen == 60 ? status : 3;
  };
  for (int i = 0; i < 10; ++i) {
    BOOST_TEST_REQUIRE(fork_within(false) == 0);
    BOOST_TEST_REQUIRE(fork_within(true) == 0);
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace loader_workers_test
