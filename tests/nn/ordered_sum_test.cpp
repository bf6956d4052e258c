// Sums over terms that ranks share: their order, and how many bytes they cost.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/distributed/ordered_sum.h>
#include <tapegrad/nn/distributed/rank_threads.h>
#include <tapegrad/ops/elementwise/math.h>

#include <boost/test/unit_test.hpp>

#include "bench/ranks/forwarding.h"
#include "support.h"

namespace ordered_sum_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Communicator;
using nn::OrderedSum;

/// Counts the bytes that leave this rank.
class Counting final : public bench::Forwarding {
 public:
  Counting(Communicator& to, std::size_t at_once) : Forwarding(to), at_once_(at_once) {}
  std::size_t bytes_at_once() const noexcept override { return at_once_; }

  std::size_t sent = 0;

 private:
  void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) override {
    sent += own.size() * static_cast<std::size_t>(size() - 1);
    Forwarding::gather_blocks(own, all);
  }
  void exchange_blocks(std::span<const std::byte> from, std::span<std::byte> to, std::size_t block,
                       std::span<const std::uint8_t> sends) override {
    if (block > at_once_) throw std::logic_error("too much at once");
    if (sends[static_cast<std::size_t>(rank())]) sent += block * static_cast<std::size_t>(size() - 1);
    Forwarding::exchange_blocks(from, to, block, sends);
  }
  void begin(Operation operation, std::size_t) override {
    if (operation == Operation::all_reduce) throw std::logic_error("not in an ordered sum");
  }

  std::size_t at_once_;
};

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

constexpr std::int64_t kFloats = 1013, kDoubles = 101;  // no multiples of anything

/// The sum on each rank, of terms that are there or not: equal on all.
std::vector<double> summed(int ranks, std::int64_t terms, const std::vector<std::uint8_t>& is_there,
                           std::size_t at_once = kAll, std::size_t* sent = nullptr) {
  std::vector<std::vector<double>> sums(static_cast<std::size_t>(ranks));
  std::vector<std::size_t> bytes(static_cast<std::size_t>(ranks));
  nn::run_on_threads(ranks, [&](Communicator& comm) {
    Counting counting(comm, at_once);
    const std::vector<Tensor> like{Tensor::empty({kFloats}, f32), Tensor::empty({kDoubles}, f64)};
    const std::vector<nn::Bucket> buckets = nn::buckets_of(like, 1 << 20, ranks);
    OrderedSum sum(counting, terms);
    std::vector<double> all;
    for (std::uint64_t step = 0; step < 2; ++step)  // it may be used again
      for (const nn::Bucket& bucket : buckets) {
        OrderedSum::Terms own;
        for (std::int64_t i = sum.first(); i < sum.last(); ++i) {
          Generator rng(static_cast<std::uint64_t>(i), step);
          Tensor row;
          if (is_there[static_cast<std::size_t>(i)]) {
            row = bucket.new_row();
            put(row, bucket.members[0], randn(bucket.members[0].shape, rng, bucket.dtype, 1));
          }
          own.push({.first = i}, row);
        }
        const Tensor result = take(sum.sum(bucket, own, is_there), bucket.members[0]);
        for (const double x : cast(result, f64).to_vector<double>()) all.push_back(x);
      }
    sums[static_cast<std::size_t>(comm.rank())] = all;
    bytes[static_cast<std::size_t>(comm.rank())] = counting.sent / 2;
  });
  for (const auto& other : sums) BOOST_TEST(other == sums[0]);
  if (sent) *sent = std::ranges::max(bytes);
  return sums[0];
}

/// Node [first, first + width) of the tree over all terms, written as the definition says it.
std::vector<float> tree(const std::vector<std::vector<float>>& terms, std::size_t first, std::size_t width) {
  if (width == 1) return terms[first];
  const std::vector<float> right = tree(terms, first + width / 2, width / 2);
  std::vector<float> left = tree(terms, first, width / 2);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] += right[i];
  return left;
}

BOOST_AUTO_TEST_SUITE(ordered_sum)

BOOST_AUTO_TEST_CASE(the_sum_is_that_of_a_binary_tree) {
  std::vector<std::vector<float>> terms;
  for (std::uint64_t i = 0; i < 8; ++i) {
    Generator rng(i);
    terms.push_back(randn({kFloats}, rng, f32, 1).to_vector<float>());
  }
  const std::vector<float> expected = tree(terms, 0, 8);
  for (const int ranks : {1, 2, 4, 8}) {
    const std::vector<double> sum = summed(ranks, 8, std::vector<std::uint8_t>(8, 1));
    BOOST_TEST(std::equal(expected.begin(), expected.end(), sum.begin()));
  }
}

BOOST_AUTO_TEST_CASE(it_has_the_same_bits_for_any_number_of_ranks) {
  for (const std::int64_t terms : {1, 2, 3, 5, 6, 7, 8, 9, 12}) {
    for (const int missing : {-1, 0, 1, 2}) {  // every third term, from there on
      std::vector<std::uint8_t> is_there(static_cast<std::size_t>(terms), 1);
      if (missing >= 0 && missing < terms - 1)
        for (auto i = static_cast<std::size_t>(missing); i + 1 < is_there.size(); i += 3) is_there[i] = 0;
      const std::vector<double> expected = summed(1, terms, is_there);
      for (int ranks = 2; ranks <= std::min<std::int64_t>(terms, 8); ++ranks)
        BOOST_TEST_CONTEXT(terms << " terms on " << ranks << " ranks, missing " << missing) {
          BOOST_TEST((summed(ranks, terms, is_there) == expected));
          // In stretches, of which the last is shorter.
          BOOST_TEST((summed(ranks, terms, is_there, 88) == expected));
        }
    }
  }
}

BOOST_AUTO_TEST_CASE(it_costs_as_many_bytes_as_a_ring) {
  for (const std::size_t at_once : {kAll, std::size_t{8}, std::size_t{200}})
    for (const int ranks : {2, 4, 8}) {
      std::size_t sent = 0;
      summed(ranks, 8, std::vector<std::uint8_t>(8, 1), at_once, &sent);
      const double row = 4 * kFloats + 8 * kDoubles;
      const double ring = 2 * (ranks - 1.0) / ranks * row;
      // Rows are filled up to whole shares.
      BOOST_TEST(static_cast<double>(sent) >= ring);
      BOOST_TEST(static_cast<double>(sent) <= ring + 2 * (ranks - 1) * (4 + 8));
    }
}

BOOST_AUTO_TEST_CASE(more_ranks_than_terms_are_refused) {
  BOOST_CHECK_EXCEPTION(summed(3, 2, {1, 1}), ArgumentError, mentions("micro-batches for 3 ranks"));
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace ordered_sum_test
