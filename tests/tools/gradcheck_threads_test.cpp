// The checking command by several threads, which check different ops at a time.

#include <algorithm>
#include <thread>

#include <tapegrad/graph/sanitizers.h>
#include <tapegrad/ops/threads.h>

#include "gradcheck_support.h"

namespace gradcheck_threads_test {

using namespace test_gradcheck;

// The thread sanitizer looks at every access of all threads, and makes each run ten times as long: under it
// one number of threads, and first derivatives, show as much.
#if TAPEGRAD_TSAN
constexpr const char* kOrder = "1";
constexpr const char* kThreads[] = {"3"};
#else
constexpr const char* kOrder = "2";
constexpr const char* kThreads[] = {"2", "3", "64"};
#endif

BOOST_AUTO_TEST_SUITE(gradcheck_threads)

BOOST_AUTO_TEST_CASE(several_at_a_time) {
  const Catalog c = catalog_of<Twice, WrongTwice, Once, FarSine, OnlyAtZero, MarkedFarSine>(
      {{"affine", affine}, {"forgetful", forgetful}});
  set_threads(2);
  const Outcome one = run(c, {"--order", kOrder, "-v"});
  for (const char* threads : kThreads) {
    const Outcome many = run(c, {"--order", kOrder, "-v", "--threads", threads});
    BOOST_TEST(untimed(many.out) == untimed(one.out));
    BOOST_TEST(many.code == 1);
  }
  BOOST_TEST(threads() == 2);
  set_threads(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  const Outcome thrown = run(catalog_of<Twice, Throwing, Once>(), {"--threads", "3"});
  BOOST_TEST(thrown.code == 1);
  BOOST_TEST(contains(thrown.out, "twice"));
  BOOST_TEST(contains(thrown.out, "once"));
}

BOOST_AUTO_TEST_CASE(fail_fast) {
  const Catalog c = catalog_of<Twice, MarkedFarSine, WrongTwice, Once>();
  for (const char* threads : {"1", "3"}) {
    const Outcome o = run(c, {"--fail-fast", "--threads", threads});
    BOOST_TEST(o.code == 1);
    BOOST_TEST(contains(o.out, "\nwrong_twice"));
    BOOST_TEST(!contains(o.out, "\nonce"));
    BOOST_TEST(contains(o.out, "\nstopped at the first that does not pass\n"));
    BOOST_TEST(code(c, {"--fail-fast", "--strict", "--threads", threads}) == 3);
  }
  BOOST_TEST(!contains(run(catalog_of<Twice>(), {"--fail-fast"}).out, "stopped"));
}

BOOST_AUTO_TEST_CASE(self_test_by_several) {
  const Catalog c = catalog_of<Twice, Detached, Once>();
  const Outcome one = run(c, {"--self-test"}), many = run(c, {"--self-test", "--threads", "3"});
  BOOST_TEST(one.code == 0, one.out);
  BOOST_TEST(many.code == 0, many.out);
  BOOST_TEST(untimed(many.out) == untimed(one.out));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace gradcheck_threads_test
