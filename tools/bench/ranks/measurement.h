#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cost_model.h"

/// What was measured on one number of ranks.
namespace tapegrad::bench {

/// Who takes part in a step.
enum class Partners : std::uint8_t {
  none,     ///< a single rank; the others sleep
  all,      ///< all ranks
  claimed,  ///< all ranks compute, and nothing is exchanged
  delayed,  ///< all ranks, and each operation begins a while later
};
/// How gradients are summed; `plain` is a training without ranks.
enum class Summing : std::uint8_t { plain, strict, fast };

struct StepSetup {
  Partners partners = Partners::none;
  Summing summing = Summing::plain;
  std::int64_t micro_batches = 1;
  bool overlap = false;
  int threads = 1;  ///< of a rank

  friend bool operator==(const StepSetup&, const StepSetup&) = default;
};
/// As in "all ranks, strict, 2 micro-batches, overlap".
std::string describe(const StepSetup& setup);

struct StepTimes {
  StepSetup setup{};
  std::vector<double> runs{};  ///< seconds of a step, the mean of each run
  double median() const;
};

struct TaskMeasurement {
  std::string name{};
  std::int64_t batch = 0;       ///< items, of all ranks together
  std::int64_t parameters = 0;  ///< numbers
  std::vector<StepTimes> steps{};
  /// Of all ranks with as many micro-batches, which compute and do not exchange.
  StepProfile strict{}, fast{};
  std::vector<ComputationTime> computation{};  ///< of one rank with a share of the batch, the others asleep

  double gradient_bytes() const { return static_cast<double>(parameters) * sizeof(float); }
  /// Median of a setup that was measured. Throws ArgumentError for any other.
  double seconds(const StepSetup& setup) const;
};

struct RanksMeasurement {
  int ranks = 1;
  double delay = 0;  ///< of Partners::delayed, in seconds, as long as it was
  std::vector<CollectiveTime> collectives{};
  std::vector<TaskMeasurement> tasks{};
};

/// Of one number of ranks as JSON, and back. Throws ArgumentError for what is no such text.
std::string to_json(const RanksMeasurement& measurement);
RanksMeasurement measurement_from_json(const std::string& text);

}  // namespace tapegrad::bench
