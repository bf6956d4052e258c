// A training that is resumed from a checkpoint computes what an uninterrupted one does, to the bit.
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <tapegrad/ops/threads.h>

#include <boost/test/unit_test.hpp>

#include "resume_support.h"
#include "trainer_support.h"

namespace resume_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(resume)

BOOST_AUTO_TEST_CASE(every_optimizer_goes_on_to_the_bit_with_any_number_of_threads) {
  const int threads_before = threads();
  for (const auto& [name, make] : all_optimizers()) {
    BOOST_TEST_INFO_SCOPE(name);
    set_threads(1);
    FullTraining whole(make, {.epochs = 3});
    whole.fit();
    const nn::State expected = all_of(whole.trainer);
    BOOST_TEST(whole.optimizer->steps() == 21);
    for (const int count : {1, 2})
      for (const std::int64_t at : {1, 5, 7, 16}) {  // in the middle of an epoch, and at its end
        set_threads(count);
        const std::string path = files() / "run.safetensors";
        FullTraining first(make, saving_at(at, path, {.epochs = 3}));
        first.fit();
        FullTraining second(make, {.epochs = 3});
        const nn::Resumed resumed = second.trainer.resume(path);
        BOOST_TEST(resumed.path == path);
        BOOST_TEST(resumed.changes.empty());
        BOOST_TEST(second.optimizer->steps() == at);
        second.fit();
        check_equal(all_of(second.trainer), expected);
      }
  }
  set_threads(threads_before);
}

// Whatever else the next update, the best state and the end depend on.
BOOST_AUTO_TEST_CASE(all_ways_to_train_go_on_to_the_bit) {
  const std::vector<nn::TrainerOptions> ways{
      {.epochs = 3, .drop_last = true, .evaluate_training = false},
      {.iterations = 17, .validation = 0.2},
      {.epochs = 6, .monitor = nn::Monitor::metric, .patience = 1},
      {.epochs = 3,
       .item_transform =
           [](nn::Item item, Generator& g) {
             item.x = item.x + randn(item.x.shape(), g) * 0.1;
             return item;
           },
       .workers = 2},
      {.epochs = 3, .evaluation_transform = nn::Normalize({0.5}, {2}), .clip_value = 0.1},
      {.epochs = 2, .schedule = [](std::int64_t step) { return step % 2 == 0 ? 0.01 : 0.03; }}};
  for (std::size_t way = 0; way < ways.size(); ++way)
    for (const std::int64_t at : {3, 7, 11}) {
      BOOST_TEST_INFO_SCOPE("way " << way << " from " << at);
      const auto fit = [&](FullTraining& t) {
        t.trainer.fit(training_edges(), ways[way].validation > 0 ? nn::Dataset() : validation_edges());
      };
      FullTraining whole(kAdam, saving_at(at, files() / "way.npz", ways[way]));
      fit(whole);
      FullTraining second(kAdam, ways[way]);
      BOOST_TEST(second.trainer.resume(files() / "way.npz").changes.empty());
      fit(second);
      check_equal(all_of(second.trainer), all_of(whole.trainer));
      BOOST_TEST((second.trainer.history().stop_reason == whole.trainer.history().stop_reason));
      if (!whole.trainer.best_state().empty())
        check_equal(second.trainer.best_state(), whole.trainer.best_state());
    }
}

// An unfinished epoch is measured where a training is stopped. What was not interrupted would not have done that, nor
// does what goes on.
BOOST_AUTO_TEST_CASE(a_stopped_training_goes_on_as_if_it_had_not_been) {
  FullTraining whole(kAdam, {.epochs = 5, .patience = 2});
  whole.fit();
  for (const std::int64_t at : {3, 7, 9, 14}) {
    const test::TemporaryFolder folder;
    const nn::TrainerOptions options{.epochs = 5, .patience = 2, .checkpoint_folder = folder.path().string()};
    nn::TrainerOptions stopping = options;
    stopping.on_batch = [&](nn::Trainer& t, const nn::BatchReport& b) {
      if (b.iteration == at) t.stop();
    };
    FullTraining first(kAdam, stopping);
    first.fit();
    BOOST_TEST((first.trainer.history().stop_reason == nn::StopReason::stopped));
    FullTraining second(kAdam, options);
    second.trainer.resume(options.checkpoint_folder);
    BOOST_TEST(second.optimizer->steps() == at);
    second.fit();
    check_equal(all_of(second.trainer), all_of(whole.trainer));
  }
}

// The file of the best state is that of the checkpoint again, whatever came behind it.
BOOST_AUTO_TEST_CASE(the_best_file_goes_back_with_the_training) {
  const std::string best = files() / "best.npz";
  FullTraining first(kAdam, {.epochs = 1, .best_file = best});
  first.fit();
  first.trainer.save(files() / "run.npz");
  const nn::State good = nn::load_state_file(best).tensors;
  nn::save_state(best, {});
  FullTraining second(kAdam, {.epochs = 1, .best_file = best});
  second.trainer.resume(files() / "run.npz");
  second.fit();
  check_equal(nn::load_state_file(best).tensors, good);
}

BOOST_AUTO_TEST_CASE(seconds_go_on) {
  FullTraining first(kAdam, saving_at(9, files() / "run.npz", {.epochs = 2}));
  first.fit();
  nn::Checkpoint checkpoint = nn::load_checkpoint(files() / "run.npz");
  for (auto& [name, tensor] : checkpoint.tensors)
    if (name == "fit.seconds") {
      BOOST_TEST(tensor.item() > 0);
      tensor = Tensor::scalar(1000, f64);
    }
  FullTraining second(kAdam, {.epochs = 2});
  second.trainer.resume(checkpoint);
  second.fit();
  const std::vector<nn::EpochReport>& epochs = second.trainer.history().epochs;
  BOOST_TEST(epochs.at(0).seconds < 1000);
  BOOST_TEST(epochs.at(1).seconds > 1000);
  BOOST_TEST(epochs.at(1).seconds < 2000);
}

// ---- the folder ----

BOOST_AUTO_TEST_CASE(checkpoints_are_saved_when_they_are_due) {
  for (const std::int64_t every : {0, 1, 3, 7, 100}) {
    const test::TemporaryFolder folder;
    const std::string run = folder / "run";
    std::set<std::int64_t> due{17};  // in the end, always
    for (std::int64_t i = 1; i < 17; ++i)
      if (every == 0 ? i % 7 == 0 : i % every == 0) due.insert(i);
    FullTraining t(
        kAdam,
        {.iterations = 17, .checkpoint_folder = run, .checkpoint_every = every, .checkpoint_limit = 99});
    t.fit();
    std::set<std::int64_t> saved;
    for (const std::string& path : nn::checkpoints_in(run)) {
      FullTraining other(kAdam, {.iterations = 17});
      other.trainer.resume(path);
      saved.insert(other.optimizer->steps());
      other.fit();
      check_equal(all_of(other.trainer), all_of(t.trainer));
    }
    BOOST_TEST(saved == due);
    BOOST_TEST(nn::checkpoints_in(run).size() == due.size());
  }
  const test::TemporaryFolder folder;
  FullTraining t(kAdam, {.epochs = 5, .checkpoint_folder = folder.path().string()});
  t.fit();
  BOOST_TEST(nn::checkpoints_in(folder.path().string()).size() == 3U);
}

BOOST_AUTO_TEST_CASE(a_completed_training_has_nothing_left_to_do_unless_more_is_asked_for) {
  const test::TemporaryFolder folder;
  const std::string run = folder.path().string();
  for (const std::int64_t patience : {0, 1}) {
    const std::string part = folder / std::to_string(patience);
    nn::TrainerOptions options{.epochs = 4, .patience = patience, .checkpoint_folder = part};
    if (patience > 0)
      options.schedule = 0.0;  // no epoch is better than the one before but for running statistics
    FullTraining first(kAdam, options);
    first.fit();
    const std::int64_t steps = first.optimizer->steps();
    FullTraining second(kAdam, options);
    second.trainer.resume(part);
    second.fit();
    BOOST_TEST(second.optimizer->steps() == steps);
    BOOST_TEST((second.trainer.history().stop_reason == first.trainer.history().stop_reason));
    check_equal(all_of(second.trainer), all_of(first.trainer));
    if (patience > 0) continue;

    options.epochs = 6;
    FullTraining longer(kAdam, options);
    BOOST_TEST(longer.trainer.resume(part).changes == std::vector<std::string>({"epochs is 6, was 4"}));
    longer.fit();
    BOOST_TEST(longer.optimizer->steps() == 42);
    FullTraining whole(kAdam, {.epochs = 6});
    whole.fit();
    check_equal(longer.net.state(), whole.net.state());
  }
}

BOOST_AUTO_TEST_CASE(a_training_that_starts_leaves_the_checkpoints_of_another_one) {
  const test::TemporaryFolder folder;
  const nn::TrainerOptions options{.epochs = 1, .checkpoint_folder = folder.path().string()};
  FullTraining first(kAdam, options);
  first.fit();
  FullTraining second(kAdam, options);
  BOOST_CHECK_EXCEPTION(
      second.fit(), ArgumentError,
      mentions("checkpoints of another training", "checkpoint-000001.safetensors", "resume it"));
  second.trainer.resume(options.checkpoint_folder);
  second.fit();
  BOOST_TEST(second.optimizer->steps() == 7);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_that_does_not_fit_changes_nothing) {
  FullTraining first(kAdam, saving_at(9, files() / "run.npz", {.epochs = 2}));
  first.fit();
  const nn::Checkpoint good = nn::load_checkpoint(files() / "run.npz");
  FullTraining t(kAdam, {.epochs = 2});
  const nn::State before = all_of(t.trainer);
  const auto refused = [&](const char* name, const Tensor& tensor, auto... parts) {
    nn::Checkpoint bad = good;
    bool found = false;
    for (auto& [known, value] : bad.tensors)
      if (known == name) value = tensor, found = true;
    if (!found) bad.tensors.emplace_back(name, tensor);
    BOOST_CHECK_EXCEPTION(t.trainer.resume(bad), Error, mentions(parts...));
    check_equal(all_of(t.trainer), before);
  };
  refused("fit.start", Tensor::scalar(-1, i64), "'fit.start' is -1");
  refused("fit.start", Tensor::scalar(10, i64), "'fit.start' is 10; it must be in [0, 9]");
  refused("epoch", Tensor::from(std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::max()}, Shape{}),
          "'epoch' is 9223372036854775807");
  refused("fit.seconds", Tensor::scalar(-1, f64), "'fit.seconds' is -1");
  refused("fit.seconds", Tensor::scalar(std::nan(""), f64), "'fit.seconds' is nan");
  refused("fit.seconds", Tensor::scalar(1, i64), "'seconds' is [] of i64");
  refused("fit.end", Tensor::scalar(1, i64), "unexpected: end");
  refused("history.epoch", Tensor::zeros({2}, i64), "history's 'epoch' is [2] and its 'iteration' is [1]");
  refused("history.lr", Tensor::zeros({1}, f32), "'lr' is [1] of f32");
  refused("history.loss", Tensor::zeros({1}), "unexpected: loss");
  refused("history.seconds", Tensor::zeros({}, f64), "its 'seconds' is []");
  refused("net.0.weight", Tensor::zeros({1}), "'0.weight'");
  refused("iteration", Tensor::scalar(-1, i64), "'iteration' is -1");
  refused("iteration", Tensor::scalar(1, f32), "'iteration' is [] of f32");
  refused("loader.x", Tensor::zeros({1}), "'loader.x' is unexpected");
  t.trainer.resume(good);
  t.fit();
  check_equal(all_of(t.trainer), all_of(first.trainer));
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be) {
  FullTraining t(kAdam);
  const auto make = [&](const nn::TrainerOptions& o) { nn::Trainer(t.net, *t.optimizer, o); };
  BOOST_CHECK_EXCEPTION(make({.checkpoint_every = 5}), ArgumentError, mentions("no checkpoint_folder"));
  BOOST_CHECK_EXCEPTION(make({.checkpoint_folder = files() / "x", .checkpoint_every = -1}), ArgumentError,
                        mentions("checkpoint_every is -1"));
  BOOST_CHECK_EXCEPTION(make({.checkpoint_folder = files() / "x", .checkpoint_limit = 1}), ArgumentError,
                        mentions("checkpoint_limit is 1; it must be at least 2"));
  BOOST_CHECK_EXCEPTION(make({.checkpoint_folder = "/proc/run"}), FileError, mentions("/proc/run"));
  BOOST_TEST(!std::filesystem::exists(files() / "x"));
}

BOOST_AUTO_TEST_CASE(half_an_update_is_not_saved) {
  FullTraining t(kAdam,
                 {.epochs = 1, .on_gradients = [](nn::Trainer& trainer, const nn::BatchReport&, Gradients&) {
                    trainer.save(files() / "half.npz");
                  }});
  BOOST_CHECK_EXCEPTION(t.fit(), Error, mentions("an update is at work"));
  BOOST_TEST(!std::filesystem::exists(files() / "half.npz"));
  t.trainer.save(files() / "half.npz");  // after it
  BOOST_TEST(t.optimizer->steps() == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace resume_test
