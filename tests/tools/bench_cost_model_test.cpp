#include <cmath>
#include <vector>

#include <tapegrad/graph/errors.h>

#include <boost/test/unit_test.hpp>

#include "bench/ranks/cost_model.h"

namespace bench_cost_model_test {

using namespace tapegrad;
using namespace tapegrad::bench;

namespace {

constexpr double kMiB = 1 << 20;
/// One second a message, and a second for 1024 bytes: numbers that one can add in the head.
const Link kSlow{.latency = 1, .seconds_per_byte = 1.0 / 1024};
const Network kSlowNetwork{kSlow, kSlow};
constexpr auto kSum = CollectiveKind::ordered_sum;

void check_traffic(CollectiveKind kind, double bytes, int ranks, double messages, double sent) {
  const Traffic t = traffic_of(kind, bytes, ranks);
  BOOST_TEST(t.messages == messages);
  BOOST_TEST(t.bytes == sent);
}

/// What a link would take, with errors of this share to both sides by turns.
std::vector<CollectiveTime> times_of(const Link& link, CollectiveKind kind, double error) {
  std::vector<CollectiveTime> times;
  double sign = 1;
  for (const int ranks : {2, 4})
    for (double bytes = 4; bytes <= 64 * kMiB; bytes *= 4) {
      times.push_back({kind, bytes, ranks, seconds_of(kind, bytes, ranks, link) * (1 + sign * error)});
      sign = -sign;
    }
  return times;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_cost_model)

BOOST_AUTO_TEST_CASE(traffic_of_each_collective) {
  check_traffic(CollectiveKind::all_reduce, kMiB, 2, 2, kMiB);
  check_traffic(CollectiveKind::all_reduce, kMiB, 4, 6, 1.5 * kMiB);
  check_traffic(CollectiveKind::all_reduce, 8, 2, 1, 8);
  check_traffic(CollectiveKind::all_reduce, 8, 1024, 10, 80);
  check_traffic(CollectiveKind::all_reduce, 8, 1025, 11, 88);
  check_traffic(kSum, 8, 4, 6, 12);
  check_traffic(kSum, kMiB, 4, 6, 1.5 * kMiB);
  check_traffic(CollectiveKind::gather, 100, 4, 2, 300);
  check_traffic(CollectiveKind::gather, kMiB, 4, 3, 3 * kMiB);
  check_traffic(CollectiveKind::broadcast, 8, 8, 3, 24);
  check_traffic(CollectiveKind::broadcast, kMiB, 8, 10, 1.75 * kMiB);
  for (const auto kind :
       {CollectiveKind::all_reduce, kSum, CollectiveKind::gather, CollectiveKind::broadcast})
    check_traffic(kind, kMiB, 1, 0, 0);
}

BOOST_AUTO_TEST_CASE(seconds_of_a_collective) {
  // 6 messages, 1536 bytes.
  BOOST_TEST(seconds_of(kSum, 1024, 4, kSlow) == 7.5);
  Link delayed = kSlow;
  delayed.delay = 100;
  BOOST_TEST(seconds_of(kSum, 1024, 4, delayed) == 207.5);  // an exchange and an all_gather
  BOOST_TEST(seconds_of(CollectiveKind::broadcast, 1024, 2, delayed) == 102);
  BOOST_TEST(seconds_of(kSum, 1024, 1, delayed) == 0);
}

BOOST_AUTO_TEST_CASE(a_step_that_hides_nothing_is_a_sum) {
  // On two ranks 1024 bytes take 3 seconds, 2048 bytes 4.
  const StepProfile step{10, {{kSum, 1024, 2, true}, {kSum, 2048, 8, true}}};
  BOOST_TEST(step_seconds(step, 2, kSlowNetwork) == 17);
  BOOST_TEST(step_seconds(step, 1, kSlowNetwork) == 10);
}

BOOST_AUTO_TEST_CASE(a_step_hides_what_runs_beside_it) {
  // From 2 to 5, and the last one, which has no computation beside it, for 4 seconds from 8 on.
  BOOST_TEST(step_seconds({10, {{kSum, 1024, 2, false}, {kSum, 2048, 8, true}}}, 2, kSlowNetwork) == 14);
  // From 6 to 9: the last one waits for a second.
  BOOST_TEST(step_seconds({10, {{kSum, 1024, 6, false}, {kSum, 2048, 8, true}}}, 2, kSlowNetwork) == 15);
  // What blocks before puts off the others: 0 to 3, then 2 + 3 to 8, then 8 + 3 to 15, and 2 more of computation.
  BOOST_TEST(step_seconds({10, {{kSum, 1024, 0, true}, {kSum, 1024, 2, false}, {kSum, 2048, 8, true}}}, 2,
                          kSlowNetwork) == 17);
  // Nothing blocks: the end waits for what is still on its way.
  BOOST_TEST(step_seconds({10, {{kSum, 1024, 9, false}}}, 2, kSlowNetwork) == 12);
}

BOOST_AUTO_TEST_CASE(each_kind_has_its_link) {
  const Network network{.mpi = {.latency = 1}, .ordered_sum = {.latency = 100}};
  BOOST_TEST(step_seconds({0, {{CollectiveKind::all_reduce, 8, 0, true}}}, 2, network) == 1);
  BOOST_TEST(step_seconds({0, {{kSum, 8, 0, true}}}, 2, network) == 200);
}

BOOST_AUTO_TEST_CASE(a_faster_computation_is_ready_earlier) {
  const StepProfile step = StepProfile{10, {{kSum, 1024, 4, false}}}.in(5);
  BOOST_TEST(step.seconds == 5);
  BOOST_TEST(step.collectives[0].at == 2);
}

BOOST_AUTO_TEST_CASE(the_fit_finds_the_link) {
  for (const auto kind : {CollectiveKind::all_reduce, kSum}) {
    const Link link{.latency = 3e-6, .seconds_per_byte = 1 / 2.5e9};
    const Link exact = fit_link(times_of(link, kind, 0));
    BOOST_TEST(exact.latency == link.latency, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(exact.bytes_per_second() == 2.5e9, boost::test_tools::tolerance(1e-9));
    BOOST_TEST(median_error(times_of(link, kind, 0), exact) < 1e-9);
    const std::vector<CollectiveTime> noisy = times_of(link, kind, 0.05);
    const Link near = fit_link(noisy);
    BOOST_TEST(near.latency == link.latency, boost::test_tools::tolerance(0.05));
    BOOST_TEST(near.bytes_per_second() == 2.5e9, boost::test_tools::tolerance(0.05));
    BOOST_TEST(median_error(noisy, near) == 0.05, boost::test_tools::tolerance(0.3));
  }
}

BOOST_AUTO_TEST_CASE(a_fit_is_never_below_zero) {
  // The time falls with the bytes: no latency is left once the bytes are not below 0.
  const Link falling = fit_link(std::vector<CollectiveTime>{{kSum, 4, 2, 4}, {kSum, 4096, 2, 2}});
  BOOST_TEST(falling.seconds_per_byte == 0);
  BOOST_TEST(falling.latency > 0);
  // It grows faster than the bytes.
  const Link steep = fit_link(std::vector<CollectiveTime>{{kSum, 1024, 2, 1}, {kSum, 2048, 2, 4}});
  BOOST_TEST(steep.latency == 0);
  BOOST_TEST(steep.seconds_per_byte > 0);
  // All of one size, for which there is a line of links that are as close.
  const Link same = fit_link(std::vector<CollectiveTime>{{kSum, 1024, 2, 3}, {kSum, 1024, 2, 3}});
  BOOST_TEST(seconds_of(kSum, 1024, 2, same) == 3, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(the_fit_finds_the_computation) {
  const Computation c =
      fit_computation(std::vector<ComputationTime>{{100, 0.0021}, {50, 0.0011}, {25, 0.0006}, {12, 0.00034}});
  BOOST_TEST(c.fixed == 1e-4, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(c.per_item == 2e-5, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(c.seconds(200) == 0.0041, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(too_little_to_fit) {
  const std::vector<CollectiveTime> one{{kSum, 4, 2, 1}};
  BOOST_CHECK_THROW(fit_link(one), ArgumentError);
  BOOST_CHECK_THROW(median_error({}, {}), ArgumentError);
  BOOST_CHECK_THROW(fit_computation(std::vector<ComputationTime>{{1, 1}}), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace bench_cost_model_test
