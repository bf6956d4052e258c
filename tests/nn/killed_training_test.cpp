// A training whose process is killed, has no room on the disk or diverges leaves a checkpoint from which it goes on, to
// the bit.
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/ops/threads.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <boost/test/unit_test.hpp>

#include "process_support.h"
#include "resume_support.h"

namespace killed_training_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(killed_training)

namespace {

constexpr int kKills = 50;
using Milliseconds = std::chrono::duration<double, std::milli>;

/// What a user's program does: goes on where it can, and leaves what it has reached.
void train(const OptimizerMaker& make, int thread_count, const std::string& folder,
           const std::string& result) {
  set_threads(thread_count);
  FullTraining t(make, {.epochs = 6,
                        .workers = thread_count - 1,  // none, and one
                        .checkpoint_folder = folder,
                        .checkpoint_every = 3});
  if (!nn::checkpoints_in(folder).empty()) t.trainer.resume(folder);
  t.fit();
  t.trainer.save(result);
}

/// Waits for its end, or kills it after so long. Returns whether it was killed.
bool killed_after(pid_t child, Milliseconds time) {
  std::this_thread::sleep_for(time);
  BOOST_REQUIRE(::kill(child, SIGKILL) == 0);  // also one that has ended and is not waited for yet
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) return true;
  BOOST_REQUIRE(WIFEXITED(status));
  BOOST_REQUIRE(WEXITSTATUS(status) == 0);
  return false;
}

}  // namespace

// Every optimizer in turn, with one thread and with two, until there were enough kills; the last training is completed.
BOOST_AUTO_TEST_CASE(a_training_killed_at_any_instant_ends_with_the_same_bits) {
  const std::vector<std::pair<std::string, OptimizerMaker>> optimizers = all_optimizers();
  constexpr std::uint64_t kSeed = 11;
  Generator rng(kSeed);
  std::map<std::string, nn::State> expected;
  double whole = 0;  // milliseconds that a training takes
  int kills = 0;
  int resumed = 0;
  std::string instants;
  for (std::size_t round = 0; kills < kKills; ++round) {
    const std::string& name = optimizers[round % optimizers.size()].first;
    const OptimizerMaker& make = optimizers[round % optimizers.size()].second;
    const int thread_count = 1 + static_cast<int>(round / optimizers.size() % 2);
    const test::TemporaryFolder folder;
    if (!expected.contains(name)) {
      const auto start = std::chrono::steady_clock::now();
      const pid_t child = start_process([&] { train(make, 1, folder / "whole", folder / "whole.npz"); });
      int status = 0;
      BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
      BOOST_REQUIRE(status == 0);
      whole = Milliseconds(std::chrono::steady_clock::now() - start).count();
      expected.emplace(name, without_times(folder / "whole.npz"));
    }
    const std::string run = folder / "run";
    std::size_t kills_here = 0;
    for (bool killed = true; killed;) {
      const bool resumes = !nn::checkpoints_in(run).empty();
      const double time = rng.uniform() * whole;
      const pid_t child =
          start_process([&] { train(make, thread_count, run, folder / "result.safetensors"); });
      killed = killed_after(child, Milliseconds(time));
      kills += killed;
      kills_here += killed;
      resumed += resumes;
      if (killed) instants += fmt::format(" {:.1f}", time);
    }
    BOOST_TEST_INFO_SCOPE(name << ", " << thread_count << " threads, seed " << kSeed << ", killed after"
                               << instants);
    check_equal(without_times(folder / "result.safetensors"), expected.at(name));
    // Processes that are killed after they have saved and before they remove the oldest leave one each until the next
    // one is saved; and each a temporary file until then.
    const std::size_t saved = nn::checkpoints_in(run).size();
    BOOST_TEST(saved >= 3U);
    BOOST_TEST(saved <= 3 + kills_here);
    const auto files = static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(run), {}));
    BOOST_TEST(files <= saved + 1);
  }
  BOOST_TEST_MESSAGE("seed " << kSeed << ", a whole training takes " << whole << " ms, killed after (ms)"
                             << instants);
  BOOST_TEST(resumed > kKills / 4);  // otherwise they were killed before there was anything to go on from
}

BOOST_AUTO_TEST_CASE(a_training_without_room_on_the_disk_says_so_and_goes_on_later) {
  const OptimizerMaker adam = all_optimizers()[5].second;
  const test::TemporaryFolder folder;
  const std::string run = folder / "run";
  const auto train_until_full = [&] {
    std::signal(SIGXFSZ, SIG_IGN);  // the call fails instead, as on a full disk
    nn::TrainerOptions options{.epochs = 2, .checkpoint_folder = run, .checkpoint_every = 2};
    options.on_batch = [](nn::Trainer&, const nn::BatchReport& b) {
      const rlimit few{2000, RLIM_INFINITY};
      if (b.iteration == 5 && ::setrlimit(RLIMIT_FSIZE, &few) != 0) std::abort();
    };
    FullTraining t(adam, options);
    t.fit();
  };
  const std::string said = said_by(train_until_full);
  BOOST_TEST(
      said.find("checkpoint-000003.safetensors' cannot be written: File too large") != std::string::npos,
      said);
  BOOST_TEST(nn::checkpoints_in(run).size() == 2U);
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(run), {}) == 2);

  FullTraining whole(adam, {.epochs = 2});
  whole.fit();
  FullTraining t(adam, {.epochs = 2, .checkpoint_folder = run});
  const nn::Resumed resumed = t.trainer.resume(run);
  BOOST_TEST(resumed.unreadable.empty());
  BOOST_TEST(t.optimizer->steps() == 4);
  t.fit();
  check_equal(all_of(t.trainer), all_of(whole.trainer));
}

// Weights that are not finite behind an update, or with which nothing finite is computed.
BOOST_AUTO_TEST_CASE(a_training_that_diverges_leaves_the_last_good_checkpoint) {
  const OptimizerMaker sgd = [](const nn::Sequential& net) {
    return std::make_unique<optim::SGD>(net, 0.01);
  };
  FullTraining whole(sgd, {.epochs = 3});
  whole.fit();
  for (const float wrong : {std::numeric_limits<float>::infinity(), 1e30F})
    for (const std::int64_t at : {4, 5, 9, 13}) {  // the last update of an epoch is the seventh
      BOOST_TEST_INFO_SCOPE(wrong << " after " << at);
      const test::TemporaryFolder folder;
      const std::string run = folder.path().string();
      nn::TrainerOptions options{
          .epochs = 3, .checkpoint_folder = run, .checkpoint_every = 1, .checkpoint_limit = 2};
      options.on_gradients = [=](nn::Trainer& t, const nn::BatchReport& b, Gradients&) {
        if (b.iteration != at) return;
        for (const auto& [name, parameter] : t.net().parameters()) {
          Parameter changed = parameter;
          for (float& v : changed.mutable_values<float>()) v = wrong;
        }
      };
      FullTraining t(sgd, options);
      BOOST_CHECK_THROW(t.fit(), nn::Diverged);
      BOOST_TEST((t.trainer.history().stop_reason == nn::StopReason::diverged));
      FullTraining other(sgd, {.epochs = 3});
      BOOST_TEST(other.trainer.resume(run).unreadable.empty());
      BOOST_TEST(other.optimizer->steps() == at);
      other.fit();
      BOOST_TEST((other.trainer.history().stop_reason == nn::StopReason::completed));
      check_equal(all_of(other.trainer), all_of(whole.trainer));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace killed_training_test
