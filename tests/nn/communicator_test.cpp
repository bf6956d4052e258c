// How ranks exchange numbers, by threads and alone; and what they say of ranks that fail or differ.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/all_reduce.h>
#include <tapegrad/nn/distributed/rank_threads.h>

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>

#include "communicator_support.h"
#include "support.h"

namespace communicator_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Communicator;
using nn::RankFailed;
using nn::run_on_threads;

BOOST_AUTO_TEST_SUITE(communicator)

BOOST_AUTO_TEST_CASE(threads_exchange_what_they_are_asked_to) {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    std::atomic<int> right = 0;
    run_on_threads(ranks, [&](Communicator& comm) {
      const std::string wrong = wrong_exchange(comm);
      if (!wrong.empty()) throw std::logic_error(wrong);
      if (comm.size() == ranks) ++right;
    });
    BOOST_TEST(right == ranks);
  }
}

BOOST_AUTO_TEST_CASE(one_rank_gets_its_own_numbers) {
  nn::OneRank one;
  BOOST_TEST(wrong_exchange(one) == "");
}

BOOST_AUTO_TEST_CASE(the_order_of_a_sum_is_that_of_ranks) {
  // 1e8 + 1 rounds to 1e8 in f32, so that only this order gives 0.
  run_on_threads(3, [](Communicator& comm) {
    const float all[] = {1e8F, 1.0F, -1e8F};
    std::vector<float> x{all[comm.rank()]};
    comm.all_reduce(std::span(x));
    if (x[0] != 0) throw std::logic_error("another order");
  });
}

/// What each rank hears where the last one of three calls something else.
std::vector<std::string> heard_of(const Callback<void(Communicator&)>& all,
                                  const Callback<void(Communicator&)>& last) {
  std::vector<std::string> heard(3);
  run_on_threads(3, [&](Communicator& comm) {
    try {
      (comm.rank() == 2 ? last : all)(comm);
    } catch (const ArgumentError& e) {
      heard[static_cast<std::size_t>(comm.rank())] = e.what();
    }
    comm.barrier();  // all go on
  });
  return heard;
}

void reduce(Communicator& comm, std::size_t n) {
  std::vector<float> x(n);
  comm.all_reduce(std::span(x));
}

BOOST_AUTO_TEST_CASE(ranks_that_call_something_else_all_hear_it) {
  const auto of_5 = [](Communicator& comm) { reduce(comm, 5); };
  std::array<std::byte, 16> bytes{};
  const auto check = [&](const Callback<void(Communicator&)>& last, const std::string& text) {
    for (const std::string& heard : heard_of(of_5, last))
      BOOST_TEST(heard ==
                 "the ranks differ: all_reduce of 5 f32 on rank 0, " + text +
                     " on rank 2; all ranks call the same operations in the same order, with equal sizes");
  };
  check([](Communicator& comm) { reduce(comm, 7); }, "all_reduce of 7 f32");
  check(
      [](Communicator& comm) {
        std::array<double, 5> x{};
        comm.all_reduce(std::span(x));
      },
      "all_reduce of 5 f64");
  check([&](Communicator& comm) { comm.broadcast(bytes, 1); }, "broadcast of 16 bytes from rank 1");
  check([](Communicator& comm) { comm.barrier(); }, "barrier");
  check([&](Communicator& comm) { comm.all_gather({}, {}); }, "all_gather of 0 bytes");
  check([&](Communicator& comm) { comm.exchange({}, {}, 0, std::array<std::uint8_t, 3>{}); },
        "exchange of 0 bytes");
  // Tensors come to the same.
  for (const std::string& heard : heard_of(
           [](Communicator& comm) {
             nn::all_reduce(Tensor::ones({2, 3}), comm);
           },
           [](Communicator& comm) { nn::all_reduce(Tensor::ones({3}), comm); }))
    BOOST_TEST(
        heard.find("all_reduce of 6 f32 on rank 0, all_reduce of 3 f32 on rank 2") != std::string::npos,
        heard);
}

BOOST_AUTO_TEST_CASE(arguments_that_cannot_be_are_refused) {
  const auto check = [](Communicator& comm) {
    std::array<std::byte, 7> bytes{};
    for (const int root : {-1, comm.size(), 7})
      BOOST_CHECK_EXCEPTION(
          comm.broadcast(bytes, root), ArgumentError,
          mentions(fmt::format("broadcast: from rank {} of {}; they are numbered", root, comm.size())));
    BOOST_CHECK_EXCEPTION(
        comm.all_gather(std::span(bytes).first(5), bytes), ArgumentError,
        mentions(fmt::format("all_gather: 5 bytes of each of {} ranks, and a place for 7", comm.size())));
    const std::vector<std::uint8_t> sends(static_cast<std::size_t>(comm.size()), 1);
    BOOST_CHECK_EXCEPTION(comm.exchange(bytes, bytes, 5, sends), ArgumentError,
                          mentions("7 bytes to send, 7 to receive"));
    BOOST_CHECK_EXCEPTION(comm.exchange({}, {}, 0, {}), ArgumentError, mentions("and 0 senders to tell of"));
  };
  nn::OneRank one;
  check(one);
  bool is_checked = false;
  run_on_threads(2, [&](Communicator& comm) {
    if (!comm.is_root()) return;  // what is refused waits for nobody; and assertions are for one thread
    check(comm);
    is_checked = true;
  });
  BOOST_TEST(is_checked);
}

BOOST_AUTO_TEST_CASE(a_rank_that_throws_releases_the_others) {
  std::vector<std::string> heard(4);
  BOOST_CHECK_EXCEPTION(run_on_threads(4,
                                       [&](Communicator& comm) {
                                         comm.barrier();
                                         if (comm.rank() == 2) throw FileError("the disk is away");
                                         try {
                                           std::vector<double> x(1000);
                                           comm.all_reduce(std::span(x));
                                         } catch (const RankFailed& e) {
                                           heard[static_cast<std::size_t>(comm.rank())] = e.what();
                                           throw;
                                         }
                                       }),
                        FileError, mentions("the disk is away"));
  for (const std::size_t rank : {0, 1, 3}) {
    BOOST_TEST_CONTEXT("rank " << rank) {
      BOOST_TEST(heard[rank].find("rank 2 has failed: the disk is away") != std::string::npos);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_rank_that_returns_is_not_waited_for) {
  BOOST_CHECK_EXCEPTION(run_on_threads(3,
                                       [](Communicator& comm) {
                                         if (comm.rank() != 1) comm.barrier();
                                       }),
                        RankFailed, mentions("waits in vain: rank 1 has returned"));
}

BOOST_AUTO_TEST_CASE(all_ranks_may_end_at_once) {
  for (int round = 0; round < 200; ++round)
    run_on_threads(4, [](Communicator& comm) {
      if (comm.rank() == 3) std::this_thread::yield();
      comm.barrier();
    });
}

BOOST_AUTO_TEST_CASE(there_is_no_training_without_ranks) {
  BOOST_CHECK_EXCEPTION(run_on_threads(0, [](Communicator&) {}), ArgumentError,
                        mentions("run_on_threads: 0 ranks; there must be at least one"));
}

BOOST_AUTO_TEST_CASE(texts_of_any_length_are_gathered) {
  run_on_threads(3, [](Communicator& comm) {
    const std::vector<std::string> texts =
        all_gather(comm, std::string(static_cast<std::size_t>(comm.rank()), 'x'));
    if (texts != std::vector<std::string>{"", "x", "xx"}) throw std::logic_error("other texts");
    if (broadcast(comm, comm.rank() == 0 ? "of the root" : "mine") != "of the root")
      throw std::logic_error("another text");
    if (!broadcast(comm, comm.rank() == 0 ? "" : "mine").empty()) throw std::logic_error("no empty text");
  });
}

/// What each rank hears where their facts are these.
std::vector<std::string> differences(const std::vector<nn::Facts>& facts) {
  std::vector<std::string> heard(facts.size());
  run_on_threads(static_cast<int>(facts.size()), [&](Communicator& comm) {
    const auto rank = static_cast<std::size_t>(comm.rank());
    try {
      require_same(comm, "train", facts[rank]);
    } catch (const ArgumentError& e) {
      heard[rank] = e.what();
    }
    comm.barrier();  // all go on
  });
  return heard;
}

BOOST_AUTO_TEST_CASE(ranks_that_differ_are_told_what_differs) {
  const nn::Facts facts{{"parameter 'w'", "f32 [4, 3]"}, {"parameter 'b'", "f32 [3]"}};
  for (const std::string& text : differences({facts, facts, facts})) BOOST_TEST(text == "");

  nn::Facts other = facts;
  other[1].second = "f64 [3]";
  for (const std::string& text : differences({facts, other, facts}))
    BOOST_TEST(
        text ==
        "train: the ranks differ: parameter 'b' is f32 [3] on ranks 0, 2, f64 [3] on rank 1; give all ranks "
        "the same");
  for (const std::string& text : differences({facts, {facts[0]}}))
    BOOST_TEST(text.find("parameter 'b' is f32 [3] on rank 0, missing on rank 1") != std::string::npos);
  for (const std::string& text : differences({{facts[0]}, facts}))
    BOOST_TEST(text.find("parameter 'b' is missing on rank 0, f32 [3] on rank 1") != std::string::npos);
  for (const std::string& text : differences({facts, {facts[1], facts[0]}}))
    BOOST_TEST(
        text.find("number 0 is parameter 'w' on rank 0, parameter 'b' on rank 1; give all ranks the same "
                  "order") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_the_root_throws_ends_all) {
  std::vector<std::string> heard(3);
  std::atomic<int> calls = 0;
  BOOST_CHECK_EXCEPTION(run_on_threads(3,
                                       [&](Communicator& comm) {
                                         nn::at_root(comm, [&] { ++calls; });
                                         try {
                                           nn::at_root(comm, [] { throw FileError("no place for 'run'"); });
                                         } catch (const RankFailed& e) {
                                           heard[static_cast<std::size_t>(comm.rank())] = e.what();
                                           throw;
                                         }
                                       }),
                        FileError, mentions("no place for 'run'"));
  BOOST_TEST(calls == 1);
  BOOST_TEST(heard[1] == "rank 0 has failed: no place for 'run'");
  BOOST_TEST(heard[2] == heard[1]);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace communicator_test
