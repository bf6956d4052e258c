#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// What a training step on ranks costs, by the alpha-beta model: a message of b bytes takes alpha + b / beta seconds,
/// with the latency alpha and the bandwidth beta of a rank's link (Hockney, "The communication challenge for MPP: Intel
/// Paragon and Meiko CS-2", Parallel Computing 20, 1994).
///
/// The model has no contention: each rank's link is its own, sends and receives at once, and takes no time of the
/// processor. Ranks of one machine share its memory, and its processors where there are not enough: how far the model
/// is off there has to be measured.
namespace tapegrad::bench {

/// What ranks do together in a step.
enum class CollectiveKind : std::uint8_t {
  all_reduce,  ///< MPI_Allreduce of a row
  ordered_sum,  ///< the sum of strict training: each rank sends each other one its share of the row, and then the sum
  gather,     ///< each rank's bytes to all
  broadcast,  ///< one rank's bytes to all
};

struct Collective {
  CollectiveKind kind = CollectiveKind::all_reduce;
  double bytes = 0;  ///< of the row; of a gather those of one rank
  /// Seconds of computation in the step before it can start.
  double at = 0;
  /// The computation waits for it; otherwise it goes on beside it.
  bool blocks = true;
};

/// What one rank sends in a collective, one message behind the other.
struct Traffic {
  double messages = 0;
  double bytes = 0;
  double operations = 1;  ///< of a communicator that it consists of
};

/// At most so many bytes are reduced, or gathered from all, in ceil(log2 n) rounds and not along a ring: MPI libraries
/// go over at 2 to 512 KiB (Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in
/// MPICH", 2005).
inline constexpr double kLittleBytes = 16384;

/// On n ranks, of a row of b bytes:
///
///     all_reduce   ring: 2 (n - 1) messages, 2 (n - 1) / n b bytes     (Patarasuk and Yuan, 2009)
///                  little: L = ceil(log2 n) messages, L b bytes
///     ordered_sum  2 (n - 1) messages, 2 (n - 1) / n b bytes, two operations
///     gather       ring: n - 1 messages; little (n b): L messages; (n - 1) b bytes
///     broadcast    L messages, L b bytes; of more than kLittleBytes L + n - 1 and 2 (n - 1) / n b: scatter and gather
///
/// Nothing on one rank. Other collectives are one operation each.
Traffic traffic_of(CollectiveKind kind, double bytes, int ranks);

struct Link {
  double latency = 0;           ///< seconds of a message without bytes
  double seconds_per_byte = 0;  ///< 1 / bandwidth
  double delay = 0;             ///< seconds of an operation beside its messages

  double bytes_per_second() const { return 1 / seconds_per_byte; }
};
/// operations * delay + messages * latency + bytes * seconds_per_byte, and 0 on one rank.
double seconds_of(CollectiveKind kind, double bytes, int ranks, const Link& link);

/// The links between ranks. MPI's own collectives and the messages of an ordered sum, which is added up by the ranks
/// themselves, have each their numbers.
struct Network {
  Link mpi{};
  Link ordered_sum{};
  const Link& of(CollectiveKind kind) const {
    return kind == CollectiveKind::ordered_sum ? ordered_sum : mpi;
  }
};

/// What a collective took.
struct CollectiveTime {
  CollectiveKind kind = CollectiveKind::all_reduce;
  double bytes = 0;
  int ranks = 2;
  double seconds = 0;
};

/// The link whose model is the closest to what was measured, by least squares of relative errors, among those with
/// numbers not below 0. Throws ArgumentError for less than two times.
Link fit_link(std::span<const CollectiveTime> times);
/// Median of |predicted / measured - 1|. Throws ArgumentError for none.
double median_error(std::span<const CollectiveTime> times, const Link& link);

/// A rank's own part of a step, in seconds over the items of its share: fixed + per_item * items.
struct ComputationTime {
  double items = 0;
  double seconds = 0;
};
struct Computation {
  double fixed = 0;
  double per_item = 0;
  double seconds(double items) const { return fixed + per_item * items; }
};
/// By least squares of relative errors, as fit_link.
Computation fit_computation(std::span<const ComputationTime> times);

/// A step without any other rank: how long it computes, and what it asks of the others when.
struct StepProfile {
  double seconds = 0;
  std::vector<Collective> collectives{};  ///< in the order of `at`

  /// The same step with another time for the computation: all of it is faster or slower by the same factor.
  StepProfile in(double other_seconds) const;
};

/// The step on n ranks. Collectives run one behind the other. One that blocks stops the computation from its start to
/// its end; of the others the step's end waits for the last: with r_k the time when collective k may start, which
/// waits have put off, and x_k what it takes,
///
///     end_k = max(end_(k-1), r_k) + x_k,    step = max(computation and waits, end_last)
///
/// Where all block, that is the sum of computation and exchange.
double step_seconds(const StepProfile& step, int ranks, const Network& network);

}  // namespace tapegrad::bench
