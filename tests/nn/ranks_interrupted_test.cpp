// Trainings on ranks that are stopped, diverge or fail, and what they leave and go on from.
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "file_support.h"
#include "resume_support.h"
#include "support.h"
#include "trainer_support.h"

namespace ranks_interrupted_test {

using namespace tapegrad;
using namespace tapegrad::test;
using nn::Communicator;
using nn::RankFailed;
using nn::TrainerOptions;

OptimizerMaker adam() {
  return [](const nn::Sequential& net) { return optim::make_optimizer("adam", net.parameters(), 0.01); };
}

/// A training on ranks with options of each rank's own.
template <class Options, class Then>
void train(int ranks, const Options& options_of, const Then& then) {
  nn::run_on_threads(ranks, [&](Communicator& comm) {
    TrainerOptions options = options_of(comm);
    options.data_parallel.communicator = &comm;
    FullTraining t(adam(), options);
    then(t, comm);
  });
}

std::vector<double> undisturbed() {
  std::vector<double> values;
  train(
      1, [](Communicator&) { return TrainerOptions{.epochs = 3}; },
      [&](FullTraining& t, Communicator&) {
        t.fit();
        values = values_of(t.net);
      });
  return values;
}

BOOST_AUTO_TEST_SUITE(ranks_interrupted)

BOOST_AUTO_TEST_CASE(checkpoints_are_resumed_on_another_number_of_ranks) {
  const std::vector<double> expected = undisturbed();
  for (const auto& [before, after] : {std::pair{1, 4}, std::pair{4, 2}, std::pair{2, 1}, std::pair{3, 8}})
    for (const std::int64_t last : {3, 9}) {  // within an epoch
      const TemporaryFolder folder;
      const std::string run = folder / "run";
      train(
          before,
          [&](Communicator& comm) {
            return TrainerOptions{.epochs = 3,
                                  .checkpoint_folder = run,
                                  .checkpoint_every = 2,
                                  // The stop of any rank is that of all.
                                  .on_batch = [&comm, last](nn::Trainer& t, const nn::BatchReport& b) {
                                    if (b.iteration == last && comm.rank() == comm.size() - 1) t.stop();
                                  }};
          },
          [&](FullTraining& t, Communicator&) {
            t.fit();
            if (t.trainer.history().stop_reason != nn::StopReason::stopped)
              throw std::logic_error("not stopped");
            if (t.optimizer->steps() != last) throw std::logic_error("stopped elsewhere");
          });
      BOOST_TEST(nn::checkpoints_in(run).size() >= 2U);
      train(
          after, [&](Communicator&) { return TrainerOptions{.epochs = 3, .checkpoint_folder = run}; },
          [&](FullTraining& t, Communicator&) {
            // What a rank has drawn before does not matter.
            const nn::Resumed resumed = t.trainer.resume(run);
            if (resumed.path.empty()) throw std::logic_error("no path");
            t.fit();
            if (values_of(t.net) != expected) throw std::logic_error("other weights");
          });
    }
}

BOOST_AUTO_TEST_CASE(other_numbers_of_micro_batches_are_no_continuation) {
  const TemporaryFolder folder;
  train(
      2, [&](Communicator&) { return TrainerOptions{.epochs = 1, .checkpoint_folder = folder / "run"}; },
      [&](FullTraining& t, Communicator&) { t.fit(); });
  for (const bool ranks : {true, false})
    BOOST_CHECK_EXCEPTION(
        nn::run_on_threads(2,
                           [&](Communicator& comm) {
                             TrainerOptions o{.epochs = 2};
                             if (ranks) o.data_parallel = {&comm, true, 4};
                             FullTraining t(adam(), o);
                             t.trainer.resume(folder / "run");
                           }),
        ArgumentError, mentions(ranks ? "micro_batches is 4, was 8" : "micro_batches is not there, was 8"));
}

BOOST_AUTO_TEST_CASE(rank_0_alone_writes) {
  const TemporaryFolder folder;
  train(
      3,
      [&](Communicator& comm) {
        // A folder that is there for rank 0 only: the others would fail in theirs.
        const std::string own = comm.is_root() ? folder / "run" : "/proc/no such folder";
        return TrainerOptions{.epochs = 2,
                              .best_file = comm.is_root() ? folder / "best.safetensors" : own,
                              .checkpoint_folder = own};
      },
      [&](FullTraining& t, Communicator&) { t.fit(); });
  BOOST_TEST(nn::checkpoints_in(folder / "run").size() == 2U);
  BOOST_TEST(std::filesystem::exists(folder / "best.safetensors"));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_written_ends_all_ranks) {
  const TemporaryFolder folder;
  write_file(folder / "file", "no folder");
  BOOST_CHECK_EXCEPTION(
      train(
          3, [&](Communicator&) { return TrainerOptions{.checkpoint_folder = folder / "file"}; },
          [&](FullTraining& t, Communicator&) { t.fit(); }),
      FileError, mentions("cannot be made"));
  BOOST_CHECK_EXCEPTION(train(
                            2, [&](Communicator&) { return TrainerOptions{}; },
                            [&](FullTraining& t, Communicator&) { t.trainer.resume(folder / "nothing"); }),
                        FileError, mentions("nothing"));
}

BOOST_AUTO_TEST_CASE(an_interruption_of_one_rank_is_that_of_all) {
  std::atomic<bool> interrupted = false;
  train(
      3,
      [&](Communicator& comm) {
        return TrainerOptions{.epochs = 3,
                              .on_batch =
                                  [&](nn::Trainer&, const nn::BatchReport& b) {
                                    if (b.iteration == 5 && comm.rank() == 1) interrupted = true;
                                  },
                              .interrupted = comm.rank() == 1 ? &interrupted : nullptr};
      },
      [&](FullTraining& t, Communicator&) {
        t.fit();
        if (t.trainer.history().stop_reason != nn::StopReason::stopped || t.optimizer->steps() != 5 ||
            !t.trainer.history().epochs.empty())
          throw std::logic_error("not interrupted");
      });
}

/// Quarters of which item `bad` is no number.
nn::Dataset with_nan(std::int64_t bad) {
  Generator rng(7);
  Tensor x = randn({80, 2}, rng);
  x.mutable_values<float>()[static_cast<std::size_t>(2 * bad)] = std::numeric_limits<float>::quiet_NaN();
  return {x, Tensor::zeros({80}, i64), 4};
}

BOOST_AUTO_TEST_CASE(all_ranks_hear_in_which_micro_batch_a_training_diverges) {
  std::string expected;
  for (const int ranks : {1, 2, 4}) {
    std::vector<std::string> heard(static_cast<std::size_t>(ranks));
    nn::run_on_threads(ranks, [&](Communicator& comm) {
      nn::MultiLayerNet net = quarter_net();
      optim::SGD sgd(net, 0.1);
      nn::Trainer trainer(net, sgd, {.epochs = 1, .batch = 40, .data_parallel = {.communicator = &comm}});
      try {
        trainer.fit(with_nan(33));
      } catch (const nn::Diverged& e) {
        heard[static_cast<std::size_t>(comm.rank())] = e.what();
      }
      comm.barrier();
    });
    if (expected.empty()) expected = heard[0];
    for (const std::string& text : heard) BOOST_TEST(text == expected);
  }
  BOOST_TEST(expected.find("nan in micro-batch ") != std::string::npos, expected);
  BOOST_TEST(expected.find(" of 8; 'x' of the batch has nan at [") != std::string::npos, expected);
}

BOOST_AUTO_TEST_CASE(a_rank_that_throws_ends_all_and_what_it_was_at_is_taken_back) {
  std::vector<std::vector<double>> values(4);
  std::vector<std::string> heard(4);
  std::vector<std::int64_t> steps(4);
  BOOST_CHECK_EXCEPTION(
      nn::run_on_threads(
          4,
          [&](Communicator& comm) {
            const auto rank = static_cast<std::size_t>(comm.rank());
            nn::MultiLayerNet net = quarter_net(1, {.hidden = {8}, .batch_norm = true, .dropout = 0.5});
            optim::SGD sgd(net, 0.1);
            nn::Trainer trainer(net,
                                [&](const nn::Batch& b) {
                                  if (rank == 2 && sgd.steps() == 3)
                                    throw OutOfMemory("no memory on this host");
                                  return net(b.x);
                                },
                                sgd, {.epochs = 3, .batch = 40, .data_parallel = {.communicator = &comm}});
            try {
              trainer.fit(quarters(80));
            } catch (const RankFailed& e) {
              heard[rank] = e.what();
              values[rank] = values_of(net);
              steps[rank] = sgd.steps();
              throw;
            }
          }),
      OutOfMemory, mentions("no memory on this host"));
  for (const std::size_t rank : {0, 1, 3}) {
    BOOST_TEST(heard[rank].find("rank 2 has failed: no memory on this host") != std::string::npos,
               heard[rank]);
    BOOST_TEST(steps[rank] == 3);
    BOOST_TEST((values[rank] == values[0]));
  }
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace ranks_interrupted_test
