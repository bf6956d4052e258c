// Sums of tensors over ranks, bucket by bucket, some of them while others are still to come.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/nn/distributed/bucket_sums.h>
#include <tapegrad/nn/distributed/rank_threads.h>
#include <tapegrad/ops/elementwise/math.h>

#include <boost/test/unit_test.hpp>

#include "bench/ranks/forwarding.h"
#include "support.h"

namespace bucket_sums_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Bucket;
using nn::BucketSums;
using nn::Communicator;
using nn::DataParallel;

namespace {

/// Small and large ones, of two dtypes, one of them empty.
std::vector<Tensor> some_tensors() {
  return {Tensor::empty({3}, f32),    Tensor::empty({16, 8}, f32), Tensor::empty({5}, f64),
          Tensor::empty({0, 2}, f32), Tensor::empty({}, f32),      Tensor::empty({33}, f32),
          Tensor::empty({64}, f64)};
}

/// What a term adds to a tensor; nothing to some.
bool comes(std::int64_t term, std::size_t tensor) {
  return tensor != 2 && (static_cast<std::size_t>(term) + tensor) % 4 != 0;
}
bool is_there(std::int64_t term) { return term % 3 != 1; }

/// Puts all terms of this rank in, and returns the sums of the tensors that are used.
std::vector<double> sums_of(BucketSums& sums, const DataParallel& options) {
  const std::vector<Tensor> like = some_tensors();
  sums.clear();
  for (std::int64_t term = sums.first(); term < sums.last(); ++term) {
    std::vector<std::uint8_t> coming, used;
    for (std::size_t i = 0; i < like.size(); ++i) {
      coming.push_back(comes(term, i));
      used.push_back(i != 2);
    }
    if (is_there(term)) sums.begin_term(coming);
    if (term + 1 == sums.last()) {
      std::vector<std::uint8_t> there;
      for (std::int64_t t = 0; t < options.pieces(); ++t) there.push_back(is_there(t));
      sums.exchange(there, used);
    }
    if (!is_there(term)) {
      sums.skip_term();
      continue;
    }
    for (std::size_t i = like.size(); i-- > 0;) {
      Generator rng(static_cast<std::uint64_t>(term), i);
      if (coming[i]) sums.add(i, randn(like[i].shape(), rng, like[i].dtype(), 1), i % 2 ? 1.0 : 0.5);
    }
  }
  sums.finish();
  std::vector<double> all;
  for (std::size_t i = 0; i < like.size(); ++i)
    if (i != 2)
      for (const double x : cast(sums.sum(i), f64).to_vector<double>()) all.push_back(x);
  return all;
}

/// Of each rank the same; twice, since sums may be used again.
std::vector<double> summed(int ranks, DataParallel options) {
  std::vector<std::vector<double>> all(static_cast<std::size_t>(ranks));
  nn::run_on_threads(ranks, [&](Communicator& comm) {
    DataParallel own = options;
    own.communicator = &comm;
    BucketSums sums(own, some_tensors());
    const std::vector<double> once = sums_of(sums, own);
    if (sums_of(sums, own) != once) throw std::logic_error("other sums the second time");
    all[static_cast<std::size_t>(comm.rank())] = once;
  });
  for (const auto& other : all) BOOST_TEST((other == all[0]));
  return all[0];
}

/// Can wait until a sum has been exchanged, or fail to.
class Observed final : public bench::Forwarding {
 public:
  using Forwarding::Forwarding;
  /// False where it has not come in a minute.
  bool wait_for_sums(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return gathered_ >= count; });
  }

  bool fails = false;

 private:
  void begin(Operation, std::size_t) override {
    if (fails) throw std::runtime_error("the network is down");
  }
  void gather_blocks(std::span<const std::byte> own, std::span<std::byte> all) override {
    Forwarding::gather_blocks(own, all);
    const std::lock_guard lock(mutex_);
    ++gathered_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int gathered_ = 0;
};

/// Sums of two tensors, in a bucket each, on two ranks of one term: they are about to come.
class TwoBuckets {
 public:
  explicit TwoBuckets(Communicator& comm)
      : sums({.communicator = &comm, .micro_batches = 2, .bucket_bytes = 1},
             {Tensor::empty({4}, f32), Tensor::empty({4}, f32)}) {
    sums.begin_term(std::vector<std::uint8_t>{1, 1});
    sums.exchange({1, 1}, {1, 1});
  }
  BucketSums sums;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(bucket_sums)

BOOST_AUTO_TEST_CASE(buckets_are_full_with_their_bytes_and_come_in_the_order_of_their_last_tensor) {
  const std::vector<Tensor> tensors = some_tensors();
  const auto text = [&](std::int64_t bytes, std::int64_t multiple) {
    std::string all;
    for (const Bucket& b : nn::buckets_of(tensors, bytes, multiple)) {
      all += std::string(name_of(b.dtype)) + " " + std::to_string(b.length) + ":";
      for (const Bucket::Member& m : b.members)
        all += " " + std::to_string(m.tensor) + "@" + std::to_string(m.offset);
      all += "; ";
    }
    return all;
  };
  BOOST_TEST(text(1 << 20, 1) == "f32 165: 0@0 1@3 3@131 4@131 5@132; f64 69: 2@0 6@5; ");
  BOOST_TEST(text(512, 2) == "f32 128: 1@0; f64 6: 2@0; f32 38: 0@0 3@3 4@3 5@4; f64 64: 6@0; ");
  BOOST_TEST(text(1, 4) ==
             "f32 4: 0@0; f32 128: 1@0; f64 8: 2@0; f32 0: 3@0; f32 4: 4@0; f32 36: 5@0; f64 64: 6@0; ");
  BOOST_TEST(nn::buckets_of({}, 1, 1).empty());
}

BOOST_AUTO_TEST_CASE(the_bits_depend_neither_on_buckets_nor_on_ranks_nor_on_who_exchanges_them) {
  for (const std::int64_t micro_batches : {1, 3, 8}) {
    const std::vector<double> expected = summed(1, {.micro_batches = micro_batches, .overlap = false});
    for (int ranks = 1; ranks <= std::min<std::int64_t>(micro_batches, 4); ++ranks)
      for (const std::int64_t bytes : {1, 256, 1 << 20})
        for (const bool overlap : {false, true})
          BOOST_TEST_CONTEXT(ranks << " ranks, " << micro_batches << " terms, buckets of " << bytes) {
            const DataParallel options{
                .micro_batches = micro_batches, .overlap = overlap, .bucket_bytes = bytes};
            BOOST_TEST((summed(ranks, options) == expected));
          }
  }
}

BOOST_AUTO_TEST_CASE(not_strict_they_are_the_same_sums_in_another_order) {
  for (const int ranks : {1, 2, 3, 4}) {
    const std::vector<double> expected = summed(1, {.micro_batches = ranks});
    for (const bool overlap : {false, true}) {
      const std::vector<double> sums =
          summed(ranks, {.strict = false, .overlap = overlap, .bucket_bytes = 100});
      BOOST_TEST_REQUIRE(sums.size() == expected.size());
      for (std::size_t i = 0; i < sums.size(); ++i) BOOST_TEST(std::abs(sums[i] - expected[i]) < 1e-5);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_bucket_is_summed_while_the_next_is_computed) {
  nn::run_on_threads(2, [](Communicator& comm) {
    Observed observed(comm);
    TwoBuckets two(observed);
    BucketSums& sums = two.sums;
    sums.add(1, Tensor::full({4}, 3, f32));
    // Nobody has the other one yet.
    if (!observed.wait_for_sums(1)) throw std::logic_error("nothing was exchanged before the last one came");
    sums.add(0, Tensor::full({4}, 5, f32));
    sums.finish();
    if (sums.sum(1).to_vector<float>() != std::vector<float>(4, 6)) throw std::logic_error("other sums");
    if (sums.sum(0).to_vector<float>() != std::vector<float>(4, 10)) throw std::logic_error("other sums");
  });
}

BOOST_AUTO_TEST_CASE(what_the_other_thread_throws_is_thrown_by_finish) {
  nn::run_on_threads(2, [](Communicator& comm) {
    Observed observed(comm);
    observed.fails = true;
    TwoBuckets two(observed);
    BucketSums& sums = two.sums;
    sums.add(1, Tensor::full({4}, 3, f32));
    sums.add(0, Tensor::full({4}, 5, f32));
    try {
      sums.finish();
    } catch (const std::runtime_error& e) {
      if (std::string(e.what()) == "the network is down") return;
    }
    throw std::logic_error("it was not thrown");
  });
}

BOOST_AUTO_TEST_CASE(a_large_tensor_is_exchanged_without_a_copy) {
  nn::OneRank one;
  BucketSums sums({.communicator = &one, .micro_batches = 1, .bucket_bytes = 16},
                  {Tensor::empty({2, 2}, f32)});
  const Tensor gradient = Tensor::ones({2, 2}, f32);
  sums.begin_term(std::vector<std::uint8_t>{1});
  sums.exchange({1}, {1});
  sums.add(0, gradient);
  sums.finish();
  const Tensor sum = sums.sum(0);
  BOOST_TEST(sum.values<float>().data() == gradient.values<float>().data());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace bucket_sums_test
