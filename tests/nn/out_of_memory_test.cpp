// Where memory runs out, at any call that asks for it, an exception says so; all is then as before, and trying again
// gives what an undisturbed run gives, to the bit.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <latch>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <tapegrad/ops/loops/parallel.h>
#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "out_of_memory_support.h"
#include "support.h"

namespace out_of_memory_test {

using namespace tapegrad;
using test::bytes_of;
using test::fail_each;
using test::Failing;
using test::FailingAllocations;

BOOST_AUTO_TEST_SUITE(out_of_memory)

#if TAPEGRAD_COUNT_ALLOCATIONS

namespace {

nn::Dataset data_of(std::int64_t n) {
  Generator rng(5);
  const Tensor x = randn({n, 4}, rng);
  return {x, integers({n}, rng, 0, 3), 3};
}

/// A training loop by hand.
struct Loop {
  Generator rng{1};
  nn::Sequential net{nn::Affine(4, 6, rng), nn::Relu(), nn::Affine(6, 3, rng)};
  std::unique_ptr<optim::Optimizer> optimizer;
  nn::Batch batch = data_of(8).batch(0, 8);

  explicit Loop(std::string_view rule) : optimizer(optim::make_optimizer(rule, net, 0.05)) {}
  void go() {
    while (optimizer->steps() < 3) {
      Tape tape;
      Gradients g = tape.backward(softmax_with_loss(net(batch.x), batch.t));
      clip_global_norm(g, 0.5);
      optimizer->step(g);
    }
  }
  std::vector<std::byte> result() const {
    std::vector<std::byte> all = bytes_of(net.state());
    const std::vector<std::byte> more = bytes_of(optimizer->state());
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(steps_of_every_optimizer) {
  for (const std::string& rule : optim::optimizer_names()) {
    const std::uint64_t points = fail_each([&] { return std::make_unique<Loop>(rule); });
    BOOST_TEST(points > 20U);
    BOOST_TEST_MESSAGE(rule << ": " << points << " points");
  }
}

// The modes of the network, what forward changes, the position in the epoch, and the score of each.
BOOST_AUTO_TEST_CASE(a_trainer) {
  struct Run {
    nn::Dataset training = data_of(30);
    nn::Dataset validation = data_of(10);
    Generator rng{1};
    nn::MultiLayerNet net{4, 3, rng, {.hidden = {6}, .batch_norm = true, .dropout = 0.3}};
    optim::Adam adam{net, 0.05};
    nn::Trainer trainer{net,
                        adam,
                        {.epochs = 1000,
                         .batch = 8,
                         .schedule = optim::cosine(0.05, 10),
                         .plateau = optim::ReduceOnPlateau({.patience = 0}),
                         .clip_norm = 1,
                         .on_epoch = [](nn::Trainer& t, const nn::EpochReport& e) {
                           if (e.epoch == 2) t.stop();
                         }}};

    void go() { trainer.fit(training, validation); }
    std::vector<std::byte> result() const {
      BOOST_REQUIRE(net.training());
      std::vector<std::byte> all = bytes_of(trainer.state());
      for (const nn::EpochReport& e : trainer.history().epochs)
        for (const double x :
             {static_cast<double>(e.epoch), static_cast<double>(e.iteration), e.training.loss,
              e.validation.loss, e.validation.metric, e.lr, e.best ? 1.0 : 0.0}) {
          const auto bytes = std::as_bytes(std::span(&x, 1));
          all.insert(all.end(), bytes.begin(), bytes.end());
        }
      return all;
    }
  };
  const std::uint64_t points = fail_each([] { return std::make_unique<Run>(); });
  BOOST_TEST(points > 300U);
  BOOST_TEST_MESSAGE(points << " points");
}

BOOST_AUTO_TEST_CASE(a_checkpoint_is_saved_or_resumed_wholly_or_not_at_all) {
  const test::TemporaryFolder folder;
  struct Run {
    explicit Run(std::string to) : path(std::move(to)) {}
    std::string path;
    nn::Dataset training = data_of(30);
    Generator rng{1};
    nn::MultiLayerNet net{4, 3, rng, {.hidden = {6}, .batch_norm = true, .dropout = 0.3}};
    optim::Adam adam{net, 0.05};
    nn::Trainer trainer{net, adam, {.iterations = 6, .batch = 8, .plateau = optim::ReduceOnPlateau()}};

    std::vector<std::byte> result() const {
      std::vector<std::byte> all = bytes_of(trainer.state());
      all.push_back(static_cast<std::byte>(trainer.history().epochs.size()));
      return all;
    }
  };
  struct Saving : Run {
    using Run::Run;
    void go() { trainer.save(path); }
    std::vector<std::byte> result() const { return bytes_of(nn::load_checkpoint(path).tensors); }
  };
  struct Resuming : Run {
    using Run::Run;
    void go() { trainer.resume(path); }
  };
  {
    Run run(folder / "run.safetensors");
    run.trainer.fit(run.training);
    run.trainer.save(run.path);
  }
  BOOST_TEST(fail_each([&] { return std::make_unique<Saving>(folder / "saved.npz"); }) > 100U);
  BOOST_TEST(fail_each([&] { return std::make_unique<Resuming>(folder / "run.safetensors"); }) > 100U);
}

// Also where there is no memory to undo what was done.
BOOST_AUTO_TEST_CASE(a_state_that_cannot_be_loaded_changes_nothing) {
  const detail::ThreadLimit one(1);
  struct Run {
    explicit Run(std::uint64_t seed) : rng(seed) {}
    nn::Dataset training = data_of(30);
    Generator rng;
    nn::MultiLayerNet net{4, 3, rng, {.hidden = {6}, .batch_norm = true, .dropout = 0.3}};
    optim::Adam adam{net, 0.05};
    nn::Trainer trainer{net, adam, {.iterations = 6, .batch = 8, .plateau = optim::ReduceOnPlateau()}};
  };
  Run trained(1);
  trained.trainer.fit(trained.training);
  const nn::State state = trained.trainer.state();
  std::uint64_t points = 0;
  for (const Failing failing : {Failing::once, Failing::from_there_on})
    for (std::uint64_t number = 1;; ++number) {
      Run run(2);
      const std::vector<std::byte> before = bytes_of(run.trainer.state());
      trim();
      bool failed = false;
      bool reached = false;
      {
        const FailingAllocations memory(number, failing);
        try {
          run.trainer.load_state(state);
        } catch (const std::exception&) {
          failed = true;
        }
        reached = memory.reached();
      }
      BOOST_REQUIRE_MESSAGE(bytes_of(run.trainer.state()) == (failed ? before : bytes_of(state)),
                            "call " << number << (failed ? " failed" : ""));
      if (!reached) break;
      ++points;
    }
  BOOST_TEST(points > 50U);
}

BOOST_AUTO_TEST_CASE(evaluation_gives_each_module_its_mode_back) {
  struct Run {
    nn::Dataset data = data_of(12);
    Generator rng{1};
    nn::Sequential net{nn::Affine(4, 6, rng), nn::BatchNorm(6), nn::Dropout(0.5, rng), nn::Affine(6, 3, rng)};
    double loss = 0;

    Run() { net[1].eval(); }
    void go() { loss = nn::evaluate(net, data).loss; }
    std::vector<std::byte> result() const {
      BOOST_REQUIRE((net.training() && !net[1].training() && net[2].training()));
      return bytes_of({{"loss", Tensor::scalar(loss, f64)}});
    }
  };
  BOOST_TEST(fail_each([] { return std::make_unique<Run>(); }) > 20U);
}

// Derivatives of every kind of pass, with marks on the nodes between.
BOOST_AUTO_TEST_CASE(recorded_gradients_under_one_tape) {
  struct Run {
    Tensor x = Tensor::from({0.5, -0.25, 2}, f64);
    Tensor second;
    Gradients both;

    void go() {
      Tape tape;
      const Tensor w = tape.watch(x);
      const Mark mark = tape.mark();
      for (int i = 0; i < 2; ++i) {
        tape.rewind(mark);
        const Tensor y = sum(w * exp(w) + sin(w));
        const Tensor first = tape.grad(y, w, {.record = Record::yes});
        both = tape.backward(sum(first * first), RetainGraph::yes);
        second = tape.grad(sum(first * first), w);
      }
    }
    std::vector<std::byte> result() const {
      return bytes_of({{"grad", second}, {"backward", both.begin()->value}});
    }
  };
  const auto once = [] {
    struct Retry : Run {
      void go() {
        second = {};
        both = {};
        Run::go();
      }
    };
    return std::make_unique<Retry>();
  };
  BOOST_TEST(fail_each(once) > 20U);
}

BOOST_AUTO_TEST_CASE(saving_and_loading) {
  // In memory where there is such a file system: a disk takes its time for each of the files.
  const std::filesystem::path memory = "/dev/shm";
  const test::TemporaryFolder folder(
      std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path());
  for (const char* name : {"net.safetensors", "net.npz", "net.pt"}) {
    struct Run {
      std::string path;
      Generator rng{1};
      nn::Sequential net{nn::Affine(4, 3, rng), nn::BatchNorm(3), nn::Dropout(0.5, rng)};
      nn::Sequential other{nn::Affine(4, 3, rng), nn::BatchNorm(3), nn::Dropout(0.5, rng)};
      std::vector<std::byte> at_first = bytes_of(other.state());
      bool whole = true;

      explicit Run(std::string to) : path(std::move(to)) {}
      void go() {
        const std::vector<std::byte> before = bytes_of(other.state());
        try {
          nn::save_state(path, net.state(), {{"made by", "a test"}});
          other.load_state(nn::load_state_file(path).tensors);
        } catch (...) {
          whole = before == at_first;
          throw;
        }
      }
      std::vector<std::byte> result() const { return bytes_of(other.state()); }
    };
    const std::uint64_t points = fail_each([&] { return std::make_unique<Run>(folder / name); });
    BOOST_TEST(points > 100U);
    BOOST_TEST(folder.size() == 1);  // no temporary file is left
    std::filesystem::remove(folder / name);
  }
}

BOOST_AUTO_TEST_CASE(tables) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "table.csv";
  test::write_file(
      path, "x,kind,\"of a long \"\"name\"\"\"\n1,b,\"what is longer than a short text\"\n,a,\"y\"\"\"\n");
  struct Run {
    std::string path;
    nn::Table table;
    nn::CsvFormat format;

    void go() {
      const nn::Table learnt = nn::read_csv(
          path, {.targets = {"kind"}, .one_hot = {3}, .index = {"kind"}, .missing = nn::Missing::mean});
      format = nn::CsvFormat::parse(learnt.format.text());
      table = format.read(path);
    }
    std::vector<std::byte> result() const {
      return bytes_of({{"features", table.features}, {"targets", table.targets}});
    }
  };
  BOOST_TEST(fail_each([&] { return std::make_unique<Run>(Run{path, {}, {}}); }) > 50U);
}

BOOST_AUTO_TEST_CASE(the_first_use_in_a_thread) {
  // Threads that live, so that none of them has left a record that the next could adopt.
  constexpr std::size_t kOthers = 64;
  std::latch all_there(kOthers + 1);
  std::latch done(1);
  std::vector<std::thread> others;
  for (std::size_t i = 0; i < kOthers; ++i)
    others.emplace_back([&] {
      Tensor::zeros({1});
      all_there.count_down();
      done.wait();
    });
  all_there.arrive_and_wait();
  for (const Failing failing : {Failing::once, Failing::from_there_on}) {
    std::uint64_t points = 0;
    for (bool reached = true; reached;) {
      bool right = false;
      std::thread([&] {
        const auto gradient = [] {
          Tape tape;
          const Tensor x = tape.watch(Tensor::scalar(3));
          return tape.grad(x * x, x).item();
        };
        double first = 6;
        {
          const FailingAllocations memory(points + 1, failing);
          try {
            first = gradient();
          } catch (const std::exception&) {  // OutOfMemory or std::bad_alloc
          }
          reached = memory.reached();
        }
        right = first == 6 && gradient() == 6;
      }).join();
      BOOST_REQUIRE_MESSAGE(right, "call " << points + 1);
      if (reached) ++points;
    }
    BOOST_TEST(points >= 5U);
  }
  done.count_down();
  for (std::thread& t : others) t.join();
}

// Each failure in a process of its own, since threads are started once.
BOOST_AUTO_TEST_CASE(the_start_of_worker_threads) {
  const auto child = [](std::uint64_t number, Failing failing) {  // 0: right, 1: right and not reached
    sigset_t before;
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    const detail::ThreadLimit three(3);
    const auto count = [] {
      std::atomic<int> n{0};
      detail::parallel_for(64, [&](std::int64_t) { n.fetch_add(1); });
      return n.load();
    };
    bool reached = false;
    {
      const FailingAllocations memory(number, failing);
      if (count() != 64) return 2;
      reached = memory.reached();
    }
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int s = 1; s < 32; ++s)
      if (sigismember(&before, s) != sigismember(&after, s)) return 3;
    const std::int64_t jobs = detail::shared_jobs_here();
    if (count() != 64) return 4;
    if (detail::shared_jobs_here() != jobs + 1) return 5;  // the pool is there
    return reached ? 0 : 1;
  };
  std::uint64_t points = 0;
  for (const Failing failing : {Failing::once, Failing::from_there_on})
    for (std::uint64_t number = 1;; ++number) {
      const pid_t pid = ::fork();
      if (pid == 0) ::_exit(child(number, failing));
      int status = 0;
      BOOST_REQUIRE(::waitpid(pid, &status, 0) == pid);
      BOOST_REQUIRE_MESSAGE(WIFEXITED(status) && WEXITSTATUS(status) <= 1,
                            "call " << number << ": status " << status);
      if (WEXITSTATUS(status) == 1) break;
      ++points;
    }
  BOOST_TEST(points >= 8U);
}

#endif

BOOST_AUTO_TEST_SUITE_END()

}  // namespace out_of_memory_test
