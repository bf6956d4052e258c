#include <chrono>
#include <cmath>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/ops/gradients.h>

#include <fmt/format.h>

namespace tapegrad::nn {

const EpochReport* History::best() const noexcept {
  for (auto e = epochs.rbegin(); e != epochs.rend(); ++e)
    if (e->best) return &*e;
  return nullptr;
}

Trainer::Trainer(Module& net, optim::Optimizer& optimizer, TrainerOptions options)
    : Trainer(net, forward_of(net), optimizer, std::move(options)) {}

Trainer::Trainer(ModuleBase& net, Forward forward, optim::Optimizer& optimizer, TrainerOptions options)
    : net_(net),
      forward_(std::move(forward)),
      optimizer_(optimizer),
      options_(std::move(options)),
      lr_(optimizer.lr()) {
  if (!forward_) throw ArgumentError("trainer: there is no function to compute the outputs of a batch");
  const TrainerOptions& o = options_;
  const auto require = [](bool holds, const char* what, auto given, const char* range) {
    if (!holds) throw ArgumentError(fmt::format("trainer: {} is {}; it must be {}", what, given, range));
  };
  require(o.epochs >= 0, "epochs", o.epochs, "at least 0");
  require(o.iterations >= 0, "iterations", o.iterations, "at least 0");
  require(o.batch >= 1, "batch", o.batch, "at least 1");
  require(o.validation >= 0 && o.validation < 1, "validation", o.validation, "a share in [0, 1)");
  require(o.clip_norm >= 0, "clip_norm", o.clip_norm, "at least 0");
  require(o.clip_value >= 0, "clip_value", o.clip_value, "at least 0");
  require(o.patience >= 0, "patience", o.patience, "at least 0");
  if (o.monitor == Monitor::metric && !o.objective.has_metric())
    throw ArgumentError("trainer: the metric is to be monitored, and the objective has none; give it one");
  if (!o.checkpoint.empty()) const AtomicFile can_be_written(o.checkpoint);
}

/// An epoch at work.
struct Trainer::Epoch {
  std::chrono::steady_clock::time_point start;  ///< of fit
  EpochReport report{};
  Score sum{0, 0};  ///< over the items of its batches
  std::int64_t items = 0;
};

double Trainer::clip(Gradients& gradients) const {
  if (options_.clip_value > 0) tapegrad::clip_value(gradients, options_.clip_value);
  return options_.clip_norm > 0 ? clip_global_norm(gradients, options_.clip_norm)
                                : std::numeric_limits<double>::quiet_NaN();
}

/// Returns false where there is no finite loss or gradient to go by.
bool Trainer::update(const Batch& batch, Epoch& epoch) {
  if (options_.schedule.defined() || options_.plateau) {
    const double rate = options_.schedule.defined() ? options_.schedule(iteration_) : lr_;
    optimizer_.set_lr(rate * (options_.plateau ? options_.plateau->scale() : 1));
  }
  Tape tape;
  const Tensor y = forward_(batch);
  const Tensor loss = options_.objective.loss(y, batch.t);
  const double value = loss.item();
  if (!std::isfinite(value)) return false;
  Gradients gradients = tape.backward(loss);
  BatchReport report{epoch.report.epoch, iteration_, last_, value, optimizer_.lr()};
  if (options_.on_gradients) options_.on_gradients(*this, report, gradients);
  try {
    report.gradient_norm = clip(gradients);
  } catch (const NonFinite&) {
    return false;
  }
  optimizer_.step(gradients);
  report.iteration = ++iteration_;

  const auto n = static_cast<double>(batch.size());
  epoch.items += batch.size();
  epoch.sum.loss += n * value;
  if (!options_.evaluate_training) epoch.sum.metric += n * options_.objective.metric(y, batch.t);
  epoch.report.lr = optimizer_.lr();
  epoch.report.iteration = iteration_;
  report.lr = epoch.report.lr;
  if (options_.on_batch) options_.on_batch(*this, report);
  return true;
}

/// Measures what the epoch has reached, keeps it where it is the best, and reports it.
void Trainer::finish(Epoch& epoch, const Dataset& training, const Dataset& validation) {
  EpochReport& r = epoch.report;
  const auto items = static_cast<double>(epoch.items);
  r.training = options_.evaluate_training ? evaluate(net_, forward_, training, options_.objective)
                                          : Score{epoch.sum.loss / items, epoch.sum.metric / items};
  if (validation.size() > 0) r.validation = evaluate(net_, forward_, validation, options_.objective);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - epoch.start).count();

  const Score& judged = validation.size() > 0 ? r.validation : r.training;
  const double value = options_.monitor == Monitor::loss ? judged.loss : -judged.metric;
  if (options_.plateau) (*options_.plateau)(value);
  r.best = value < best_value_;
  if (r.best) {
    best_value_ = value;
    best_ = net_.state();
    if (!options_.checkpoint.empty()) save_state(options_.checkpoint, best_);
  }
  waited_ = r.best ? 0 : waited_ + 1;
  history_.epochs.push_back(r);
  if (options_.on_epoch) options_.on_epoch(*this, r);
}

const History& Trainer::fit(const Dataset& training, const Dataset& validation) {
  if (validation.size() == 0 && options_.validation > 0) {
    const auto held_out = std::llround(options_.validation * static_cast<double>(training.size()));
    if (held_out < 1 || held_out >= training.size())
      throw ArgumentError(fmt::format("trainer: a validation share of {} of {} items is {} of them",
                                      options_.validation, training.size(), held_out < 1 ? "none" : "all"));
    const Dataset::Split parts = training.split(held_out, options_.seed);
    return fit(parts.training, parts.validation);
  }
  const DataLoader loader(training,
                          {.batch = options_.batch, .drop_last = options_.drop_last, .seed = options_.seed});
  last_ = iteration_ + (options_.iterations > 0 ? options_.iterations : options_.epochs * loader.size());
  history_.stop_reason = StopReason::completed;
  waited_ = 0;
  stop_ = false;
  const auto start = std::chrono::steady_clock::now();
  if (!net_.training()) net_.train();

  const auto stopped = [this] { return stop_.load(std::memory_order_relaxed); };
  while (iteration_ < last_ && history_.stop_reason == StopReason::completed) {
    Epoch epoch{.start = start};
    epoch.report.epoch = ++epoch_;
    for (const Batch& batch : loader.epoch(static_cast<std::uint64_t>(epoch_))) {
      const bool finite = update(batch, epoch);
      if (!finite) history_.stop_reason = StopReason::diverged;
      if (!finite || iteration_ == last_ || stopped()) break;
    }
    if (epoch.items > 0) finish(epoch, training, validation);
    if (!std::isfinite(epoch.report.training.loss)) history_.stop_reason = StopReason::diverged;
    if (history_.stop_reason == StopReason::diverged || iteration_ == last_) break;
    if (stopped())
      history_.stop_reason = StopReason::stopped;
    else if (options_.patience > 0 && waited_ >= options_.patience)
      history_.stop_reason = StopReason::early;
  }
  return history_;
}

void Trainer::restore_best() {
  if (best_.empty()) throw Error("trainer: there is no best state to restore; no epoch had a finite value");
  net_.load_state(best_);
}

}  // namespace tapegrad::nn
