#pragma once

#include <cstdint>
#include <limits>

#include <tapegrad/graph/export.h>
#include <tapegrad/optim/state.h>

namespace tapegrad::optim {

/// When the rate is reduced, and by how much.
struct PlateauOptions {
  double factor = 0.1;         ///< what a reduction leaves of the rate
  std::int64_t patience = 10;  ///< values without an improvement that are borne before it
  double threshold = 1e-4;     ///< an improvement is below best - threshold * |best|
  std::int64_t cooldown = 0;   ///< values behind a reduction that are not counted
  double lowest = 0;           ///< the scale never falls below
};

/// Reduces the learning rate when a value, such as the validation loss, stops falling: a scale for the rate,
/// or for the rate of a schedule.
///
///     optim::ReduceOnPlateau plateau({.patience = 3});
///     optimizer.set_lr(lr * plateau(validation_loss));      // once an epoch
///
/// It is a value: a copy goes on independently.
class TAPEGRAD_API ReduceOnPlateau {
 public:
  /// Throws ArgumentError for a factor outside (0, 1), a negative patience, threshold or cooldown, and a
  /// lowest scale outside [0, 1].
  explicit ReduceOnPlateau(const PlateauOptions& options = {});

  /// Takes the next value, the lower the better, and returns the scale from now on. NaN is no improvement.
  double operator()(double value);
  /// 1 at first.
  double scale() const noexcept { return scale_; }

  /// What there is to save, beside the options; load_state continues from there. Throws ArgumentError,
  /// ShapeError or DtypeError as match_state, and changes nothing then.
  State state() const;
  void load_state(const State& state);

 private:
  PlateauOptions options_;
  double scale_ = 1;
  double best_ = std::numeric_limits<double>::infinity();
  std::int64_t waited_ = 0;
  std::int64_t cooling_ = 0;
};

}  // namespace tapegrad::optim
