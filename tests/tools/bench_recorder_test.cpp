#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "bench/ranks/claimed_rank.h"
#include "bench/ranks/recorder.h"
#include "bench/ranks/training.h"

namespace bench_recorder_test {

using namespace tapegrad;
using namespace tapegrad::bench;

namespace {

constexpr std::size_t kBytes = 8;
constexpr std::array<std::uint8_t, 2> kBothSend{1, 1};

/// Collectives on two ranks of which the other one does not exist.
struct Pair {
  ClaimedRank claimed{0, 2};
  Recorder recorder{claimed};
  std::vector<std::byte> own = std::vector<std::byte>(kBytes), all = std::vector<std::byte>(2 * kBytes);

  void gather() { recorder.all_gather(own, all); }
  void exchange() { recorder.exchange(all, all, kBytes, kBothSend); }
};

void check(const Collective& c, CollectiveKind kind, double bytes, bool blocks) {
  BOOST_TEST((c.kind == kind));
  BOOST_TEST(c.bytes == bytes);
  BOOST_TEST(c.blocks == blocks);
}

/// What rank 0 of two records in a step of 784-256-10: 203,530 parameters.
constexpr double kGradient = 203530 * sizeof(float);
std::vector<Collective> of_step(nn::DataParallel options) {
  ClaimedRank claimed(0, 2);
  Recorder recorder(claimed);
  options.communicator = &recorder;
  const std::vector<StepProfile> steps = Training("depth:1").run(options, 4, &recorder);
  BOOST_TEST(steps.size() == 3);
  double before = 0;
  for (const Collective& c : steps.back().collectives) {
    BOOST_TEST(c.at >= before);
    before = c.at;
  }
  BOOST_TEST(steps.back().seconds >= before);
  return steps.back().collectives;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bench_recorder)

BOOST_AUTO_TEST_CASE(each_operation_is_a_collective) {
  Pair p;
  std::vector<float> floats(3);
  std::vector<double> doubles(3);
  p.recorder.all_reduce(std::span(floats));
  p.recorder.all_reduce(std::span(doubles));
  p.recorder.broadcast(p.own, 0);
  p.recorder.barrier();
  p.gather();
  const std::vector<Collective> all = p.recorder.take();
  BOOST_REQUIRE(all.size() == 4);
  check(all[0], CollectiveKind::all_reduce, 12, true);
  check(all[1], CollectiveKind::all_reduce, 24, true);
  check(all[2], CollectiveKind::broadcast, 8, true);
  check(all[3], CollectiveKind::gather, 8, true);
  for (std::size_t i = 1; i < all.size(); ++i) BOOST_TEST(all[i].at >= all[i - 1].at);
  BOOST_TEST(p.recorder.take().empty());
  BOOST_TEST(bytes_sent(all, 2) == 12 + 24 + 8 + 8);
  BOOST_TEST(bytes_sent(all, 1) == 0);
}

BOOST_AUTO_TEST_CASE(an_exchange_and_a_gather_are_an_ordered_sum) {
  Pair p;
  p.exchange();
  p.gather();
  p.gather();
  // Of a rank with two subtrees the second one is a sum by itself.
  p.exchange();
  p.exchange();
  p.gather();
  const std::vector<Collective> all = p.recorder.take();
  BOOST_REQUIRE(all.size() == 4);
  check(all[0], CollectiveKind::ordered_sum, 16, true);
  check(all[1], CollectiveKind::gather, 8, true);
  check(all[2], CollectiveKind::ordered_sum, 16, true);
  check(all[3], CollectiveKind::ordered_sum, 16, true);
}

BOOST_AUTO_TEST_CASE(another_thread_does_not_block) {
  Pair p;
  std::thread([&] { p.exchange(); }).join();
  p.gather();  // of this thread, so it is no part of the sum
  std::thread([&] { p.gather(); }).join();
  const std::vector<Collective> all = p.recorder.take();
  BOOST_REQUIRE(all.size() == 2);
  check(all[0], CollectiveKind::ordered_sum, 16, false);
  check(all[1], CollectiveKind::gather, 8, true);
}

BOOST_AUTO_TEST_CASE(a_claimed_rank_has_its_own_part) {
  ClaimedRank second(1, 3);
  BOOST_TEST(second.rank() == 1);
  BOOST_TEST(second.size() == 3);
  // Little: as if all had sent the same.
  const std::vector<std::byte> little(4, std::byte{7});
  std::vector<std::byte> all(12);
  second.all_gather(little, all);
  BOOST_TEST((all == std::vector<std::byte>(12, std::byte{7})));
  // Large: its own place, which may be what it gives.
  constexpr std::size_t kLarge = 20000;
  std::vector<std::byte> large(3 * kLarge, std::byte{0});
  const std::vector<std::byte> own(kLarge, std::byte{7});
  second.all_gather(own, large);
  for (std::size_t i = 0; i < large.size(); i += 1000)
    BOOST_TEST((large[i] == (i / kLarge == 1 ? std::byte{7} : std::byte{0})));
  second.all_gather(std::span(large).subspan(kLarge, kLarge), large);
  BOOST_TEST((large[kLarge] == std::byte{7}));
  // Nothing comes, and what comes is zeros: sums do not grow from step to step.
  std::vector<std::byte> received(12, std::byte{9});
  const std::array<std::uint8_t, 3> all_send{1, 1, 1};
  for (int step = 0; step < 2; ++step) {
    second.exchange(all, received, 4, all_send);
    BOOST_TEST((received == std::vector<std::byte>(12)));
    received.front() = std::byte{1};
  }
  std::vector<float> values{1, 2};
  second.all_reduce(std::span(values));
  BOOST_TEST((values == std::vector<float>{1, 2}));
}

BOOST_AUTO_TEST_CASE(a_step_in_one_bucket) {
  const std::vector<Collective> two = of_step({.micro_batches = 2});
  BOOST_REQUIRE(two.size() == 3);
  // Whether someone has stopped or diverged; loss and metric of a micro-batch, of four parameters whether they are used,
  // and the rate.
  check(two[0], CollectiveKind::all_reduce, 16, true);
  check(two[1], CollectiveKind::gather, 7 * sizeof(double), true);
  check(two[2], CollectiveKind::ordered_sum, kGradient, true);
  BOOST_TEST(bytes_sent(two, 2) == 16 + 56 + kGradient);
  // Of a rank's four micro-batches there are more losses and metrics, and the sum is the same.
  const std::vector<Collective> eight = of_step({.micro_batches = 8});
  BOOST_REQUIRE(eight.size() == 3);
  check(eight[1], CollectiveKind::gather, 13 * sizeof(double), true);
  check(eight[2], CollectiveKind::ordered_sum, kGradient, true);
  const std::vector<Collective> fast = of_step({.strict = false});
  BOOST_REQUIRE(fast.size() == 3);
  check(fast[1], CollectiveKind::gather, 7 * sizeof(double), true);
  check(fast[2], CollectiveKind::all_reduce, kGradient, true);
}

BOOST_AUTO_TEST_CASE(a_step_in_three_buckets) {
  // The last layer; the first one's bias; and its weight, which fills a bucket alone and comes when nothing is left to
  // compute.
  constexpr std::int64_t kLast = 2570 * sizeof(float), kBias = 256 * sizeof(float);
  for (const bool overlap : {true, false})
    for (const bool strict : {true, false}) {
      const std::vector<Collective> all =
          of_step({.strict = strict, .micro_batches = 2, .overlap = overlap, .bucket_bytes = kLast});
      const auto kind = strict ? CollectiveKind::ordered_sum : CollectiveKind::all_reduce;
      BOOST_REQUIRE(all.size() == 5);
      check(all[2], kind, kLast, !overlap);
      check(all[3], kind, kBias, !overlap);
      check(all[4], kind, kGradient - kLast - kBias, true);
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace bench_recorder_test
