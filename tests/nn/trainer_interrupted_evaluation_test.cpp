// A training that is to end at once does not wait for an evaluation, and goes on as if it had not been interrupted.
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "resume_support.h"
#include "trainer_support.h"

namespace trainer_interrupted_evaluation_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(trainer_interrupted_evaluation)

namespace {

/// 2,500 items are evaluated in three batches; an epoch has five updates.
const nn::Dataset& training_items() {
  static const nn::Dataset data = quarters(2500);
  return data;
}
const nn::Dataset& validation_items() {
  static const nn::Dataset data = quarters(1200, 8);
  return data;
}

struct Training {
  /// Is interrupted at the `at`-th time that the network is evaluated on a batch; 0 for never.
  explicit Training(nn::TrainerOptions options, int at = 0)
      : forward([this, at](const nn::Batch& b) {
          if (!net.training() && ++evaluated == at) interrupted = true;
          return net(b.x);
        }),
        trainer(net, forward, adam, with_defaults(std::move(options))) {}
  nn::TrainerOptions with_defaults(nn::TrainerOptions o) {
    o.interrupted = &interrupted;
    o.batch = 500;
    o.seed = 3;
    o.plateau = optim::ReduceOnPlateau({.patience = 0});
    return o;
  }
  void fit() { trainer.fit(training_items(), validation_items()); }

  nn::MultiLayerNet net = quarter_net(1, {.hidden = {8}, .batch_norm = true, .dropout = 0.3});
  optim::Adam adam{net, 0.05};
  std::atomic<bool> interrupted{false};
  int evaluated = 0;
  nn::Forward forward;
  nn::Trainer trainer;
};

void check_as_whole(const Training& t, const Training& whole) {
  BOOST_TEST(values_of(t.trainer.state()) == values_of(whole.trainer.state()));
  const auto& epochs = t.trainer.history().epochs;
  const auto& expected = whole.trainer.history().epochs;
  BOOST_REQUIRE(epochs.size() == expected.size());
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    BOOST_TEST(epochs[i].epoch == expected[i].epoch);
    BOOST_TEST(epochs[i].iteration == expected[i].iteration);
    BOOST_TEST(epochs[i].training.loss == expected[i].training.loss);
    BOOST_TEST(epochs[i].validation.loss == expected[i].validation.loss);
    BOOST_TEST(epochs[i].best == expected[i].best);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_evaluation_ends_before_its_next_batch) {
  nn::MultiLayerNet net = quarter_net();
  int batches = 0;
  std::atomic<bool> stop{false};
  const nn::Forward forward = [&](const nn::Batch& b) {
    if (++batches == 2) stop = true;
    return net(b.x);
  };
  BOOST_TEST(!nn::evaluate_unless(&stop, net, forward, training_items(), {}, 100).has_value());
  BOOST_TEST(batches == 2);  // of 25
  BOOST_TEST(net.training());
  stop = false;
  const auto score = nn::evaluate_unless(&stop, net, forward, training_items());
  BOOST_REQUIRE(score.has_value());
  BOOST_TEST(score->loss == nn::evaluate(net, training_items()).loss);
}

// Five batches are evaluated after each epoch: three of the training data, two to validate.
BOOST_AUTO_TEST_CASE(one_that_was_ended_is_made_first_when_training_goes_on) {
  Training whole({.epochs = 3});
  whole.fit();
  BOOST_TEST(whole.evaluated == 15);
  for (const int at : {1, 2, 4, 6, 9}) {
    BOOST_TEST_CONTEXT("batch " << at) {
      const TemporaryFolder folder;
      const std::string run = folder / "run";
      Training first({.epochs = 3, .checkpoint_folder = run}, at);
      first.fit();
      const std::int64_t epochs = (at - 1) / 5;
      BOOST_TEST(first.evaluated == at);  // none behind it
      BOOST_TEST((first.trainer.history().stop_reason == nn::StopReason::stopped));
      BOOST_TEST(first.trainer.history().epochs.size() == static_cast<std::size_t>(epochs));
      BOOST_TEST(first.adam.steps() == 5 * (epochs + 1));
      // The checkpoint has all updates.
      Training second({.epochs = 3, .checkpoint_folder = run});
      second.trainer.resume(run);
      BOOST_TEST(second.adam.steps() == first.adam.steps());
      second.fit();
      check_as_whole(second, whole);
      BOOST_TEST((second.trainer.history().stop_reason == nn::StopReason::completed));
    }
  }
}

BOOST_AUTO_TEST_CASE(another_call_of_fit_makes_it_as_well) {
  Training t({.epochs = 2}, 7);
  t.fit();
  BOOST_TEST(t.trainer.history().epochs.size() == 1U);
  t.fit();  // nothing more, as long as it is interrupted
  BOOST_TEST((t.trainer.history().stop_reason == nn::StopReason::stopped));
  BOOST_TEST(t.trainer.history().epochs.size() == 1U);
  BOOST_TEST(t.adam.steps() == 10);
  t.interrupted = false;
  Training expected({.epochs = 4});
  expected.fit();
  t.fit();  // the second epoch is measured, then two follow
  check_as_whole(t, expected);
}

// The last epoch is not complete either before it is measured.
BOOST_AUTO_TEST_CASE(the_last_one_counts_as_stopped) {
  const TemporaryFolder folder;
  Training whole({.iterations = 7});
  whole.fit();
  for (const int at : {6, 9}) {
    const std::string path = folder / std::to_string(at);
    Training first({.iterations = 7, .checkpoint_folder = path}, at);
    first.fit();
    BOOST_TEST((first.trainer.history().stop_reason == nn::StopReason::stopped));
    BOOST_TEST(first.trainer.history().epochs.size() == 1U);
    BOOST_TEST(first.adam.steps() == 7);
    Training second({.iterations = 7, .checkpoint_folder = path});
    second.trainer.resume(path);
    second.fit();
    check_as_whole(second, whole);
  }
}

BOOST_AUTO_TEST_CASE(in_the_middle_of_an_epoch_nothing_is_evaluated) {
  Training whole({.epochs = 3});
  whole.fit();
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  nn::TrainerOptions options{.epochs = 3, .checkpoint_folder = run};
  Training* running = nullptr;
  options.on_batch = [&](nn::Trainer&, const nn::BatchReport& b) {
    if (b.iteration == 8) running->interrupted = true;
  };
  Training first(options);
  running = &first;
  first.fit();
  BOOST_TEST(first.evaluated == 5);
  BOOST_TEST(first.trainer.history().epochs.size() == 1U);
  Training second({.epochs = 3, .checkpoint_folder = run});
  second.trainer.resume(run);
  BOOST_TEST(second.adam.steps() == 8);
  second.fit();
  check_as_whole(second, whole);
  first.interrupted = false;
  first.fit();  // three more, after the one at hand
  BOOST_TEST(first.trainer.history().epochs.size() == 5U);
}

BOOST_AUTO_TEST_CASE(another_thread_may_interrupt) {
  std::thread other;
  Training* running = nullptr;
  nn::TrainerOptions options{.epochs = 1'000'000'000};
  options.on_batch = [&](nn::Trainer&, const nn::BatchReport&) {
    if (!other.joinable()) other = std::thread([&] { running->interrupted = true; });
  };
  Training t(options);
  running = &t;
  t.fit();
  other.join();
  BOOST_TEST((t.trainer.history().stop_reason == nn::StopReason::stopped));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace trainer_interrupted_evaluation_test
