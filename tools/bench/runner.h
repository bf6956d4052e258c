#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "contender.h"
#include "work.h"

namespace tapegrad::bench {

/// What is measured, and in what unit.
struct Metric {
  std::string name;
  std::string unit;
  bool higher_is_better = false;
  double scale = 1;  ///< of the unit: 1e3 for milliseconds
};

struct Workload {
  std::string name;
  std::string description;
  Metric metric;
  double per_call = 1;  ///< steps, nodes or operations in a call
  std::function<std::unique_ptr<Program>(Contender&)> make{};
  /// What a call computes and moves, of workloads that are reported against the machine's limits.
  std::function<Work()> work{};
  /// Calls before the measured ones, for their result to be compared and to warm up.
  std::int64_t check_calls = 1;
  double tolerance = 1e-3;  ///< of the results, relative
  /// Calls depend on those before: all contenders make the same number, and the results behind the measured
  /// ones are compared as well. Rounding errors have grown by then.
  bool trains = false;
  double drift = 0.05;  ///< tolerance of those
  /// A call is a whole run: each is made with a new program, and so many are made unless asked otherwise.
  int whole_runs = 0;
  /// Of one thread, the processor's time counts: what other programs take meanwhile is left out.
  bool processor_time = false;
};

struct Measurement {
  std::string workload;
  std::string contender;
  Metric metric;
  std::vector<double> runs;
  int threads = 0;    ///< where it is not the number that was asked for
  Work per_second{};  ///< at the median; zeros where it was not counted
  double median() const;
  double min() const;
  double max() const;
};

/// The contender that several threads are compared with.
inline constexpr const char* kOneThread = "1 thread";

struct RunnerOptions {
  int threads = 1;
  int runs = 0;          ///< 0: the workload's own number
  double seconds = 0.3;  ///< of a run, about
};
inline constexpr int kRuns = 7;

/// Many turns, each so many times shorter: what slows down the machine for a while then slows down all contenders.
RunnerOptions in_short_turns(RunnerOptions options, double shorter);

using Contenders = std::vector<std::unique_ptr<Contender>>;

/// Runs a workload by all contenders that take part in turns: run 1 of each, run 2 of each. Throws Error
/// where their results differ.
std::vector<Measurement> measure(const Workload& workload, const Contenders& contenders,
                                 const RunnerOptions& options);

}  // namespace tapegrad::bench
