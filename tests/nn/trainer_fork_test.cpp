// A child of fork in which a network is trained that another thread of its parent was training.

#include <atomic>
#include <cstdlib>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <tapegrad/graph/sanitizers.h>

#include <boost/test/unit_test.hpp>

#include "support.h"
#include "trainer_support.h"

namespace trainer_fork_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(trainer_fork)

#if !TAPEGRAD_TSAN  // the thread sanitizer does not follow forks
BOOST_AUTO_TEST_CASE(no_thread_of_the_parent_trains_in_the_child) {
  const nn::Dataset data = quarters(8);
  nn::MultiLayerNet net = quarter_net();
  std::atomic<bool> trains = false, forked = false;
  std::thread other([&] {
    optim::SGD sgd(net, 0.1);
    const auto wait = [&](nn::Trainer&, const nn::BatchReport&) {
      trains = true;
      while (!forked) std::this_thread::yield();
    };
    nn::Trainer(net, sgd, {.epochs = 1, .batch = 8, .on_batch = wait}).fit(data);
  });
  while (!trains) std::this_thread::yield();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    try {
      optim::SGD sgd(net, 0.1);
      nn::Trainer(net, sgd, {.epochs = 2, .batch = 4}).fit(data);
      std::_Exit(sgd.steps() == 4 ? 0 : 1);
    } catch (...) {
      std::_Exit(2);
    }
  }
  forked = true;
  other.join();
  int status = -1;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
}
#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trainer_fork_test
