#include "ranks_runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

#include <tapegrad/nn/data/shard.h>
#include <tapegrad/ops/threads.h>

#include <fmt/format.h>

#include "../median.h"
#include "agree.h"
#include "claimed_rank.h"
#include "delayed.h"
#include "exchange_table.h"
#include "recorder.h"
#include "training.h"

namespace tapegrad::bench {

namespace {

/// At least so many updates in a run: of an epoch of four, the shortest there is, three are measured.
constexpr std::int64_t kLeastUpdates = 4;
constexpr std::int64_t kMostUpdates = 100000;
constexpr int kCurveRounds = 3;
/// Of all collectives with one row, about.
constexpr double kTableSeconds = 0.05;

std::vector<StepSetup> setups_for(int ranks) {
  using enum Partners;
  using enum Summing;
  const std::int64_t eight = std::max<std::int64_t>(kMicroBatches, ranks);
  std::vector<StepSetup> setups{{none, plain, 1, false, 1}, {none, strict, eight, false, 1}};
  if (ranks == 1) return setups;
  setups.push_back({none, plain, 1, false, ranks});
  for (const bool overlap : {false, true}) {
    for (const Partners partners : {Partners::all, claimed, delayed})
      setups.push_back({partners, strict, ranks, overlap});
    if (eight > ranks) setups.push_back({Partners::all, strict, eight, overlap});
    for (const Partners partners : {Partners::all, claimed})
      setups.push_back({partners, fast, ranks, overlap});
  }
  if (eight > ranks) setups.push_back({claimed, strict, eight, false});
  return setups;
}

double mean_seconds(const std::vector<StepProfile>& steps) {
  double sum = 0;
  for (const StepProfile& s : steps) sum += s.seconds;
  return sum / static_cast<double>(steps.size());
}

/// The step whose time is the median.
StepProfile middle_step(std::vector<StepProfile> steps) {
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::ranges::nth_element(steps, middle, {}, &StepProfile::seconds);
  return *middle;
}

class TaskRunner {
 public:
  TaskRunner(nn::Communicator& communicator, const RanksOptions& options, const Callback<void()>& rest,
             const std::string& task)
      : communicator_(communicator), options_(options), rest_(rest), training_(task) {}

  TaskMeasurement measure() {
    TaskMeasurement m{.name = "", .batch = training_.task().batch, .parameters = training_.parameters()};
    const int ranks = communicator_.size();
    for (const StepSetup& setup : setups_for(ranks)) m.steps.push_back({setup, {}});
    const double slice =
        options_.seconds / (static_cast<double>(m.steps.size()) * std::max(1, options_.rounds));
    std::vector<std::int64_t> updates;
    for (const StepTimes& s : m.steps) updates.push_back(updates_in(slice, run(s.setup, kLeastUpdates)));
    for (int round = 0; round < options_.rounds; ++round)
      for (std::size_t i = 0; i < m.steps.size(); ++i) {
        const StepSetup& setup = m.steps[i].setup;
        const std::vector<StepProfile> steps = run(setup, updates[i]);
        if (steps.empty()) continue;  // a rank that has slept
        m.steps[i].runs.push_back(mean_seconds(steps));
        if (setup.partners == Partners::claimed && setup.overlap)
          (setup.summing == Summing::strict ? m.strict : m.fast) = middle_step(steps);
      }
    m.computation = curve(slice);
    return m;
  }

 private:
  /// Rank 0's number, from its time.
  std::int64_t updates_in(double seconds, const std::vector<StepProfile>& steps) {
    std::int64_t updates = 0;
    if (!steps.empty())
      updates = std::clamp(static_cast<std::int64_t>(std::ceil(seconds / mean_seconds(steps))), kLeastUpdates,
                           kMostUpdates);
    return of_root(communicator_, updates);
  }

  /// On all ranks that take part; no steps on another one.
  std::vector<StepProfile> run(const StepSetup& setup, std::int64_t updates) {
    const int rank = communicator_.rank(), ranks = communicator_.size();
    communicator_.barrier();
    if (setup.partners == Partners::none) {
      std::vector<StepProfile> steps;
      if (rank == 0) {
        nn::OneRank one;
        set_threads(setup.threads);
        steps =
            training_.run(data_parallel(setup, setup.summing == Summing::plain ? nullptr : &one), updates);
        set_threads(1);
      }
      rest_();
      return steps;
    }
    if (setup.partners == Partners::claimed) {
      ClaimedRank claimed(rank, ranks);
      Recorder recorder(claimed);
      std::vector<StepProfile> steps = training_.run(data_parallel(setup, &recorder), updates, &recorder);
      rest_();
      return steps;
    }
    if (setup.partners == Partners::delayed) {
      Delayed delayed(communicator_, std::chrono::duration<double>(options_.delay));
      return training_.run(data_parallel(setup, &delayed), updates);
    }
    return training_.run(data_parallel(setup, &communicator_), updates);
  }

  static nn::DataParallel data_parallel(const StepSetup& setup, nn::Communicator* communicator) {
    return {.communicator = communicator,
            .strict = setup.summing == Summing::strict,
            .micro_batches = setup.micro_batches,
            .overlap = setup.overlap};
  }

  /// What a share of the batch takes on rank 0, which claims to be one of more and more.
  std::vector<ComputationTime> curve(double slice) {
    constexpr int kMostShares = 16;
    const std::int64_t batch = training_.task().batch;
    std::vector<ComputationTime> times;
    for (int ranks = 1; communicator_.is_root() && ranks <= kMostShares && 2 * ranks <= batch; ranks *= 2) {
      const StepSetup setup{Partners::claimed, Summing::fast, ranks, true};
      ClaimedRank claimed(0, ranks);
      const nn::DataParallel parallel = data_parallel(setup, &claimed);
      const double once = mean_seconds(training_.run(parallel, kLeastUpdates));
      const auto updates =
          std::clamp(static_cast<std::int64_t>(std::ceil(slice / once)), kLeastUpdates, kMostUpdates);
      std::vector<double> runs;
      for (int round = 0; round < kCurveRounds; ++round)
        runs.push_back(mean_seconds(training_.run(parallel, updates)));
      times.push_back({static_cast<double>(nn::piece_begin(1, ranks, batch)), median_of(runs)});
    }
    rest_();
    return times;
  }

  nn::Communicator& communicator_;
  const RanksOptions& options_;
  const Callback<void()>& rest_;
  Training training_;
};

/// Refuses what cannot be measured before anything is.
void require_tasks(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto task = make_net_task(name);
    if (task->train->count < 2 * task->batch)
      throw ArgumentError(fmt::format(
          "ranks: {} has {} items, and a step is measured from one batch of {} to the next; choose "
          "a task of two batches at least",
          name, task->train->count, task->batch));
  }
}

/// What a sleep of so many seconds takes, which is longer.
double real_delay(double seconds) {
  constexpr int kSleeps = 51;
  std::vector<double> times;
  for (int i = 0; i < kSleeps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return median_of(std::move(times));
}

}  // namespace

RanksMeasurement measure_ranks(nn::Communicator& communicator, const RanksOptions& options,
                               const Callback<void()>& rest, const Callback<void(const std::string&)>& say) {
  set_threads(1);
  require_tasks(options.tasks);
  RanksMeasurement m{.ranks = communicator.size(), .delay = real_delay(options.delay)};
  if (m.ranks > 1) {
    say("collectives");
    m.collectives = measure_exchange(communicator, options.most_floats, kTableSeconds);
  }
  for (const std::string& task : options.tasks) {
    say(fmt::format("steps of {}", task));
    m.tasks.push_back(TaskRunner(communicator, options, rest, task).measure());
    m.tasks.back().name = task;
  }
  return m;
}

}  // namespace tapegrad::bench
