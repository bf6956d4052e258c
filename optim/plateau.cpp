#include <algorithm>
#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/optim/plateau.h>

#include <fmt/format.h>

namespace tapegrad::optim {

namespace {
void require(bool holds, const char* what, double given, const char* range) {
  if (!holds)
    throw ArgumentError(fmt::format("reduce on plateau: {} is {}; it must be {}", what, given, range));
}
}  // namespace

ReduceOnPlateau::ReduceOnPlateau(const PlateauOptions& options) : options_(options) {
  const PlateauOptions& o = options_;
  require(o.factor > 0 && o.factor < 1, "the factor", o.factor, "above 0 and below 1");
  require(o.patience >= 0, "the patience", static_cast<double>(o.patience), "at least 0");
  require(o.threshold >= 0 && std::isfinite(o.threshold), "the threshold", o.threshold,
          "at least 0 and finite");
  require(o.cooldown >= 0, "the cooldown", static_cast<double>(o.cooldown), "at least 0");
  require(o.lowest >= 0 && o.lowest <= 1, "the lowest scale", o.lowest, "in [0, 1]");
}

double ReduceOnPlateau::operator()(double value) {
  // Infinity less a share of itself is NaN: the first value is always an improvement.
  const bool first = std::isinf(best_) && value < best_;
  if (first || value < best_ - options_.threshold * std::abs(best_)) {
    best_ = value;
    waited_ = 0;
  } else {
    ++waited_;
  }
  if (cooling_ > 0) {
    --cooling_;
    waited_ = 0;
  }
  if (waited_ > options_.patience) {
    scale_ = std::max(options_.lowest, scale_ * options_.factor);
    waited_ = 0;
    cooling_ = options_.cooldown;
  }
  return scale_;
}

State ReduceOnPlateau::state() const {
  return {{"scale", Tensor::scalar(scale_, f64)},
          {"best", Tensor::scalar(best_, f64)},
          {"waited", Tensor::scalar(static_cast<double>(waited_), f64)},
          {"cooling", Tensor::scalar(static_cast<double>(cooling_), f64)}};
}

void ReduceOnPlateau::load_state(const State& state) {
  const std::vector<Tensor> loaded = match_state("reduce on plateau: load_state", this->state(), state);
  const double scale = loaded[0].item();
  const double waited = loaded[2].item();
  const double cooling = loaded[3].item();
  constexpr double kMost = 1e15;  // numbers that f64 counts one by one
  require(scale >= 0 && scale <= 1, "load_state: 'scale'", scale, "in [0, 1]");
  require(waited >= 0 && waited < kMost, "load_state: 'waited'", waited, "a number of values");
  require(cooling >= 0 && cooling < kMost, "load_state: 'cooling'", cooling, "a number of values");
  scale_ = scale;
  best_ = loaded[1].item();
  waited_ = static_cast<std::int64_t>(waited);
  cooling_ = static_cast<std::int64_t>(cooling);
}

}  // namespace tapegrad::optim
