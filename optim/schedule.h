#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>

/// Learning-rate schedules. A schedule is a function of the number of updates made so far: the rate of the
/// next one. It has no state, so that training may go on from any step, and any function will do:
///
///     const optim::Schedule schedule = optim::warm_up(100, optim::cosine(0.1, 900));
///     const optim::Schedule mine = [](std::int64_t step) { return step < 500 ? 0.1 : 0.01; };
///     optimizer.set_lr(schedule(optimizer.steps()));
///
/// A rate that follows the progress instead: <tapegrad/optim/plateau.h>.
namespace tapegrad::optim {

/// A rate for each update.
class TAPEGRAD_API Schedule {
 public:
  /// None: defined() is false.
  Schedule() noexcept = default;
  /// The same rate at every step. Throws ArgumentError for one that is negative or not finite, as do all
  /// functions below that take a rate.
  Schedule(double rate);
  /// Of one's own: called as double(std::int64_t step).
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Schedule> &&
           !std::is_arithmetic_v<std::remove_cvref_t<F>> && std::is_invocable_r_v<double, F&, std::int64_t>)
      Schedule(F&& rate)
      : rate_(std::forward<F>(rate)) {}

  /// Whether there is a schedule.
  bool defined() const noexcept { return static_cast<bool>(rate_); }
  /// The rate of update `step`, from 0. Throws ArgumentError for a step below 0, and where there is no
  /// schedule.
  double operator()(std::int64_t step) const;

  /// This schedule for the steps below `at`, and `then`, with its own steps counted from there, behind them.
  /// Throws ArgumentError for a negative `at`, and where either is undefined.
  Schedule followed_by(std::int64_t at, const Schedule& then) const;

 private:
  Callback<double(std::int64_t)> rate_;
};

/// Every rate times this factor. Throws ArgumentError for a factor that is negative or not finite.
TAPEGRAD_API Schedule operator*(const Schedule& schedule, double factor);

/// rate * factor^floor(step / every). Throws ArgumentError for a factor outside (0, 1], as the next does, and
/// for an `every` below 1.
TAPEGRAD_API Schedule step_decay(double rate, std::int64_t every, double factor = 0.1);
/// rate * factor^(step / every).
TAPEGRAD_API Schedule exponential_decay(double rate, double factor, std::int64_t every = 1);
/// rate / (1 + decay * step). Throws ArgumentError for a decay that is negative or not finite.
TAPEGRAD_API Schedule inverse_time_decay(double rate, double decay);
/// From `from` at step 0 in a straight line to `to` at step `steps`, and that from then on. Throws
/// ArgumentError for steps below 1, as do all that follow.
TAPEGRAD_API Schedule linear(double from, double to, std::int64_t steps);
/// last + (rate - last) (1 + cos(pi step / steps)) / 2, and `last` from step `steps` on. Loshchilov, Hutter:
/// SGDR, ICLR 2017, without restarts.
TAPEGRAD_API Schedule cosine(double rate, std::int64_t steps, double last = 0);
/// For that many steps in a straight line from then(0) * start towards then(0); `then` behind them, its steps
/// counted from there. With a constant `then` that is PyTorch's LinearLR with start_factor = start and total_iters
/// = steps. Without a start it is 1 / (steps + 1): the rate rises by the same amount from 0 on, and no step is
/// lost to a rate of 0. Goyal et al.: Accurate, Large Minibatch SGD, 2017. Throws ArgumentError for a start
/// outside [0, 1].
TAPEGRAD_API Schedule warm_up(std::int64_t steps, const Schedule& then, std::optional<double> start = {});

/// The course of one_cycle.
struct OneCycleOptions {
  double rise = 0.3;         ///< share of the steps in which the rate rises
  double start = 1.0 / 25;   ///< the first rate, as a share of the highest
  double last = 1.0 / 25e4;  ///< the last one
  bool three_phase = false;  ///< down to `start` in as many steps as up, and only then to `last`
};
/// From `start` up to the highest rate, which step rise * steps - 1 has, and down to `last`, which step steps - 1
/// has, both ways along half a cosine; `last` from then on. In three phases `start` is met again between them, at step
/// 2 rise steps - 2. Smith, Topin: Super-Convergence, 2019; the rates are those of PyTorch's OneCycleLR with
/// pct_start = rise, div_factor = 1 / start, final_div_factor = start / last and the same three_phase. Throws
/// ArgumentError for a rise outside (0, 1), for one of 1/2 or more in three phases, and for shares outside [0, 1].
TAPEGRAD_API Schedule one_cycle(double highest, std::int64_t steps, const OneCycleOptions& options = {});

/// A schedule from text, for a run of so many steps: "constant"; "step", in three stages; "exponential",
/// "inverse" (1/t), "linear" and "cosine" down; "one-cycle" up to lr and down. A number behind says what is
/// left of lr: of one stage for the next as in "step:0.5" (otherwise 0.1), or at the end as in "cosine:0.1"
/// (otherwise 0.01; for linear and cosine 0). Throws ArgumentError for another text, saying what there is.
TAPEGRAD_API Schedule make_schedule(std::string_view text, double lr, std::int64_t steps);

}  // namespace tapegrad::optim
