// The library in a process that forks, and in one that ends.
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <latch>
#include <thread>

#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/graph/tape.h>

#include "process_support.h"
#include "tape_support.h"

namespace process_test {

using namespace tapegrad;
using test::in_thread;

BOOST_AUTO_TEST_SUITE(process)

// A child of fork keeps the locks of ASan's allocator that another thread held, and at its end ASan would find what
// its parent's threads have.
#if !TAPEGRAD_ASAN

namespace {

double gradient(double at) {
  Tape tape;
  const Tensor x = tape.watch(test::scalar(at));
  return tape.grad(x * x, x).item();
}

/// True where `work` ends a process of its own by exit code 0.
template <class F>
bool ends_well(F work) {
  const pid_t child = test::start_process([&] { work(); });
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void require(bool holds) {
  if (!holds) ::_exit(2);
}

}  // namespace

// Whatever the parent's other threads are doing, and whoever has made the tensors.
BOOST_AUTO_TEST_CASE(a_child_of_fork_goes_on) {
  Tensor of_ended;
  std::thread([&] { of_ended = Tensor::full({1000}, 3, f64); }).join();
  Tensor of_living;
  std::latch made(1);
  std::atomic<bool> done{false};
  std::thread living([&] {
    of_living = Tensor::full({1000}, 4, f64);
    made.count_down();
    while (!done.load())
      std::thread([] { Tensor::zeros({10}); }).join();  // takes the registry's lock again and again
  });
  made.wait();
  Tape outer;
  const Tensor x = outer.watch(test::scalar(2));
  const Tensor y = x * x;
  for (int i = 0; i < 20; ++i)
    BOOST_TEST(ends_well([&] {
      require(outer.grad(y, x).item() == 4);  // the tape is the child's as well
      require(of_living.values<double>()[999] == 4);
      of_ended = {};
      of_living = {};
      double elsewhere = 0;
      in_thread([&] { elsewhere = gradient(3); });
      require(elsewhere == 6 && gradient(5) == 10);
    }));
  done.store(true);
  living.join();
  BOOST_TEST(of_ended.values<double>()[0] == 3);
}

// What is destroyed while the process exits: thread_local and static tensors, before and after those that the library
// knew first, and tensors of other threads.
BOOST_AUTO_TEST_CASE(a_process_ends_with_tensors_alive) {
  BOOST_TEST(ends_well([] {
    static Tensor first;
    static thread_local Tensor of_thread;
    struct UseAtExit {
      ~UseAtExit() {
        const Tensor last = Tensor::full({100}, 2, f64);
        require(gradient(1) == 2 && last.values<double>()[99] == 2);
      }
    };
    static UseAtExit use_at_exit;
    static thread_local UseAtExit use_at_end_of_thread;
    static_cast<void>(&use_at_exit);
    static_cast<void>(&use_at_end_of_thread);
    first = Tensor::ones({1000});
    of_thread = first;
    std::thread([] { first = Tensor::ones({500}); }).join();
    static Tensor copy;
    copy = first;
    std::exit(0);
  }));
}

#endif

// A key of the system's that is destroyed behind the library's own knows of no record any more.
BOOST_AUTO_TEST_CASE(tensors_are_used_to_the_very_end_of_a_thread) {
  static double last = 0;
  static pthread_key_t key;
  BOOST_REQUIRE(pthread_key_create(&key, [](void* held) {
                  auto* const t = static_cast<Tensor*>(held);
                  const Tensor sum = Tensor::full({10}, t->values<double>()[9] + 1, f64);
                  last = sum.values<double>()[9];
                  delete t;
                }) == 0);
  std::thread([] { pthread_setspecific(key, new Tensor(Tensor::full({10}, 6, f64))); }).join();
  BOOST_TEST(last == 7);
  pthread_key_delete(key);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace process_test
