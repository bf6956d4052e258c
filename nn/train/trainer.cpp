#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/format.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/data/shard.h>
#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/nn/distributed/rank_step.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/train/checkpoint_folder.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/nn/train/update_guards.h>
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
  check_options();
  write([&] {
    if (!options_.best_file.empty()) const AtomicFile can_be_written(options_.best_file);
    if (!options_.checkpoint_folder.empty()) require_checkpoint_folder(options_.checkpoint_folder);
  });
  if (!options_.schedule.defined() && plateau_scale() != 1) optimizer_.set_lr(lr_ * plateau_scale());
}

Trainer::~Trainer() = default;

/// What writes files, or looks at them: by rank 0.
template <class Work>
void Trainer::write(const Work& work) {
  at_root(ranks(), work);
}

void Trainer::check_options() const {
  if (!forward_) throw ArgumentError("trainer: there is no function to compute the outputs of a batch");
  const TrainerOptions& o = options_;
  const auto require = [](bool holds, const char* what, auto given, const char* range) {
    if (!holds) throw ArgumentError(fmt::format("trainer: {} is {}; it must be {}", what, given, range));
  };
  require(o.epochs >= 0, "epochs", o.epochs, "at least 0");
  require(o.iterations >= 0, "iterations", o.iterations, "at least 0");
  require(o.batch >= 1, "batch", o.batch, "at least 1");
  require(o.workers >= 0, "workers", o.workers, "at least 0");
  require(o.validation >= 0 && o.validation < 1, "validation", o.validation, "a share in [0, 1)");
  require(o.clip_norm >= 0, "clip_norm", o.clip_norm, "at least 0");
  require(o.clip_value >= 0, "clip_value", o.clip_value, "at least 0");
  require(o.patience >= 0, "patience", o.patience, "at least 0");
  require(o.checkpoint_every >= 0, "checkpoint_every", o.checkpoint_every, "at least 0");
  require(o.data_parallel.micro_batches >= 1, "micro_batches", o.data_parallel.micro_batches, "at least 1");
  require(o.data_parallel.micro_batches <= std::max(o.batch, DataParallel{}.micro_batches), "micro_batches",
          o.data_parallel.micro_batches, "at most the number of items of a batch");
  require(o.data_parallel.bucket_bytes >= 1, "bucket_bytes", o.data_parallel.bucket_bytes, "at least 1");
  require(o.checkpoint_limit >= 2, "checkpoint_limit", o.checkpoint_limit, "at least 2");
  if (o.checkpoint_every > 0 && o.checkpoint_folder.empty())
    throw ArgumentError(fmt::format(
        "trainer: checkpoint_every is {}, and there is no checkpoint_folder to save them in; give one",
        o.checkpoint_every));
  if (o.monitor == Monitor::metric && !o.objective.has_metric())
    throw ArgumentError("trainer: the metric is to be monitored, and the objective has none; give it one");
}

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// a + b * c, or the highest number where that is too much; none of them is negative.
std::int64_t count_up(std::int64_t a, std::int64_t b, std::int64_t c) {
  std::int64_t product = 0;
  std::int64_t sum = 0;
  const bool overflow = __builtin_mul_overflow(b, c, &product) || __builtin_add_overflow(a, product, &sum);
  return overflow ? std::numeric_limits<std::int64_t>::max() : sum;
}

}  // namespace

/// An epoch at work.
struct Trainer::Epoch {
  Clock::time_point start;    ///< of fit, as if it had never been interrupted
  double training_start = 0;  ///< of the first update, in seconds from there, as if nothing had come between
  EpochReport report{};
  std::string broken{};  ///< the name of a parameter that it has left with elements that are not finite
};

/// Returns the norm before it is limited; NaN where nobody asks for it.
double Trainer::clip(Gradients& gradients) const {
  if (options_.clip_value > 0) tapegrad::clip_value(gradients, options_.clip_value);
  if (options_.clip_norm > 0) return clip_global_norm(gradients, options_.clip_norm);
  return options_.gradient_norm ? global_norm(gradients) : std::numeric_limits<double>::quiet_NaN();
}

Diverged::~Diverged() = default;

/// Forward and backward of a batch.
BatchGradients Trainer::compute(const Batch& batch) const {
  Tape tape;
  const Tensor y = forward_(batch);
  const Tensor loss = options_.objective.loss(y, batch["t"]);
  BatchGradients result{.loss = loss.item()};
  if (!std::isfinite(result.loss)) {
    result.culprit = culprit_in(batch, optimizer_.steps());
    return result;
  }
  result.gradients = tape.backward(loss);
  if (!options_.evaluate_training) result.metric = options_.objective.metric(y, batch.t);
  return result;
}

/// Returns false where there is no finite loss or gradient to go by.
bool Trainer::update(Batches::Iterator& batch, std::int64_t items, Epoch& epoch) {
  if (options_.schedule.defined()) optimizer_.set_lr(options_.schedule(iteration_) * plateau_scale());
  Rollback rollback(net_);
  AtWork at_work(updating_);
  BatchGradients computed = has_ranks() ? compute_on_ranks(batch, items) : compute(*batch);
  if (!std::isfinite(computed.loss)) {
    divergence_ =
        fmt::format("the loss of a batch is {}{}", tapegrad::detail::shown(computed.loss), computed.culprit);
    return false;
  }
  BatchReport report{epoch.report.epoch, iteration_, last_, computed.loss, optimizer_.lr()};
  if (options_.on_gradients) options_.on_gradients(*this, report, computed.gradients);
  try {
    report.gradient_norm = clip(computed.gradients);
  } catch (const NonFinite& e) {
    divergence_ = fmt::format("{}{}", e.what(), culprit_in(*batch, optimizer_.steps()));
    return false;
  }
  optimizer_.step(computed.gradients);

  // From here to the callback nothing throws: the update has been made, and counts.
  rollback.commit();
  at_work.end();
  report.iteration = ++iteration_;
  const auto n = static_cast<double>(items);
  ++at_.batch;
  at_.items += items;
  at_.sum.loss += n * computed.loss;
  at_.sum.metric += n * computed.metric;
  at_.gradient_norm += report.gradient_norm;
  report.lr = epoch.report.lr = optimizer_.lr();
  epoch.report.iteration = iteration_;
  fit_.seconds = seconds_since(epoch.start);
  at_.seconds = fit_.seconds - epoch.training_start;
  if (options_.on_batch) options_.on_batch(*this, report);
  return true;
}

/// Measures what the epoch has reached, saves it where it is the best, and reports it. False, and none of that has
/// happened, where the training is interrupted before all is measured.
bool Trainer::finish(Epoch& epoch, std::int64_t batches, const Dataset& training, const Dataset& validation) {
  compare_weights();
  EpochReport& r = epoch.report;
  const auto items = static_cast<double>(at_.items);
  const auto measure = [&](const Dataset& data) {
    return evaluate_unless(options_.interrupted, ranks(), net_, forward_, data, options_.objective,
                           kEvaluationBatch, options_.evaluation_transform, options_.workers);
  };
  const std::optional<Score> on_training =
      options_.evaluate_training ? measure(training) : Score{at_.sum.loss / items, at_.sum.metric / items};
  if (!on_training) return false;
  const std::optional<Score> on_validation = validation.size() > 0 ? measure(validation) : Score{};
  if (!on_validation) return false;
  r.training = *on_training;
  r.validation = *on_validation;
  r.gradient_norm = at_.gradient_norm / static_cast<double>(at_.batch);
  r.items_per_second = at_.seconds > 0 ? items / at_.seconds : std::numeric_limits<double>::quiet_NaN();
  r.seconds = fit_.seconds = seconds_since(epoch.start);

  const Score& monitored = validation.size() > 0 ? r.validation : r.training;
  const double value = options_.monitor == Monitor::loss ? monitored.loss : -monitored.metric;
  r.best = value < best_value_ && epoch.broken.empty();
  State state;
  if (r.best) {
    state = net_.state();
    if (!options_.best_file.empty()) write([&] { save_state(options_.best_file, state); });
  }
  history_.epochs.push_back(r);

  // From here to the callback nothing throws.
  if (r.best) {
    best_value_ = value;
    best_ = std::move(state);
  }
  if (r.best) waited_ = 0;
  if (at_.batch >= batches) {  // an unfinished epoch counts when it has gone on to its end
    if (options_.plateau) {
      const double before = plateau_scale();
      const double scale = (*options_.plateau)(value);
      // Of the rate as it is: a callback may have set it.
      if (scale != before && !options_.schedule.defined())
        optimizer_.set_lr(optimizer_.lr() * (scale / before));
    }
    if (!r.best) ++waited_;
    at_ = {.epoch = at_.epoch + 1};
  }
  if (options_.on_epoch) options_.on_epoch(*this, r);
  return true;
}

const History& Trainer::fit(const Dataset& training, const Dataset& validation) {
  const TrainedByThisThread alone(net_);
  if (validation.size() == 0 && options_.validation > 0) {
    const auto held_out = std::llround(options_.validation * static_cast<double>(training.size()));
    if (held_out < 1 || held_out >= training.size())
      throw ArgumentError(fmt::format("trainer: a validation share of {} of {} items is {} of them",
                                      options_.validation, training.size(), held_out < 1 ? "none" : "all"));
    const Dataset::Split parts = training.split(held_out, options_.seed);
    return fit(parts.training, parts.validation);
  }
  if (fitting_) throw ArgumentError("trainer: fit was called by a callback of the fit that is at work");
  const AtWork fitting(fitting_);
  if (has_ranks()) join_ranks(training, validation);
  const DataLoader loader(training, {.batch = options_.batch,
                                     .drop_last = options_.drop_last,
                                     .seed = options_.seed,
                                     .transform = options_.transform,
                                     .item_transform = options_.item_transform,
                                     .transform_seed = options_.transform_seed,
                                     .workers = options_.workers,
                                     .shard = rank_step_ ? rank_step_->shard() : Shard{}});
  bool unreported = begin_fit(loader.size(), training, validation);
  if (has_ranks()) compare_scores(training);
  const Clock::time_point start =
      Clock::now() - std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(fit_.seconds));
  if (!net_.training()) net_.train();

  while ((iteration_ < last_ || unreported) && history_.stop_reason == StopReason::completed) {
    unreported = false;
    const State before = net_.state();
    Epoch epoch{.start = start};
    epoch.report.epoch = at_.epoch + 1;
    epoch.report.iteration = iteration_;
    epoch.report.lr = optimizer_.lr();
    epoch.training_start = seconds_since(start) - at_.seconds;
    bool diverged = !train_epoch(epoch, loader);
    // No batch follows the last update that would find it out. Before the epoch counts: this may lack memory.
    epoch.broken = broken_parameter(net_);
    const bool measured = at_.items == 0 || finish(epoch, loader.size(), training, validation);
    if (!diverged && measured && !std::isfinite(epoch.report.training.loss)) {
      diverged = true;
      divergence_ =
          fmt::format("the loss of the training data is {}; a lower rate, or clipped gradients, may help",
                      tapegrad::detail::shown(epoch.report.training.loss));
    }
    // By NaN no epoch is the best, and none is without progress. An infinite loss is but a bad one.
    if (!diverged && measured && validation.size() > 0 && std::isnan(epoch.report.validation.loss)) {
      diverged = true;
      divergence_ =
          "the loss of the validation data is nan; look for values in these data that are not finite, or lower the "
          "rate";
    }
    if (!diverged && !epoch.broken.empty()) {
      diverged = true;
      tell_broken(epoch.broken);
    }
    const bool stopped = is_stopped(false);
    const bool early = options_.patience > 0 && waited_ >= options_.patience;
    // One that is finished but for its evaluation is saved as well: what is resumed begins with that.
    const bool finished = at_.batch == 0 || at_.batch >= loader.size();
    const bool due = options_.checkpoint_every == 0 || is_due() || iteration_ >= last_ || stopped || early;
    if (!diverged && finished && due) diverged = !save_in_folder();
    if (diverged) {
      if (!is_finite(net_.state())) net_.load_state(before);
      history_.stop_reason = StopReason::diverged;
      throw Diverged(fmt::format("trainer: diverged in epoch {}, after {} updates: {}", epoch.report.epoch,
                                 iteration_, divergence_));
    }
    if (iteration_ >= last_ && measured) break;
    if (stopped)
      history_.stop_reason = StopReason::stopped;
    else if (early)
      history_.stop_reason = StopReason::early;
  }
  return history_;
}

/// Returns whether an epoch whose updates are made is still to be measured and reported.
bool Trainer::begin_fit(std::int64_t batches, const Dataset& training, const Dataset& validation) {
  const bool resumed = fit_.resumed && fit_.training > 0;  // otherwise saved before there was a fit
  if (resumed &&
      (training.size() != fit_.training || validation.size() != fit_.validation || fit_.left > batches))
    throw ArgumentError(fmt::format(
        "trainer: the training that is resumed had {} items and {} to validate; fit is given {} and {}. Give "
        "it the same data",
        fit_.training, fit_.validation, training.size(), validation.size()));
  if (!fit_.resumed && iteration_ == 0 && !options_.checkpoint_folder.empty())
    write([&] {
      if (const std::vector<std::string> others = checkpoints_in(options_.checkpoint_folder); !others.empty())
        throw ArgumentError(fmt::format(
            "trainer: there are checkpoints of another training, the newest '{}': resume it, give "
            "another checkpoint_folder, or remove them",
            others.front()));
    });
  // The file may be of an epoch behind the checkpoint, which will now be another one.
  if (resumed && !options_.best_file.empty() && !best_.empty())
    write([&] { save_state(options_.best_file, best_); });
  if (!resumed) {
    const std::int64_t left = at_.batch > 0 ? std::max<std::int64_t>(batches - at_.batch, 0) : 0;
    fit_ = {.start = iteration_, .left = left, .training = training.size(), .validation = validation.size()};
    if (waited_ >= options_.patience) waited_ = 0;
  }
  fit_.resumed = false;
  last_ = options_.iterations > 0 ? count_up(fit_.start, options_.iterations, 1)
                                  : count_up(count_up(fit_.start, fit_.left, 1), options_.epochs, batches);
  const bool was_early =
      resumed && iteration_ < last_ && options_.patience > 0 && waited_ >= options_.patience;
  history_.stop_reason = was_early ? StopReason::early : StopReason::completed;
  stop_ = false;
  return resumed && at_.items > 0;
}

/// Makes the updates of an epoch, those that are left and asked for. False where training has diverged.
bool Trainer::train_epoch(Epoch& epoch, const DataLoader& loader) {
  if (iteration_ >= last_ || at_.batch >= loader.size()) return true;
  Batches batches = loader.epoch(static_cast<std::uint64_t>(epoch.report.epoch), at_.batch);
  for (Batches::Iterator batch = batches.begin(); batch != batches.end(); ++batch) {
    const std::int64_t items =
        std::min(loader.batch_size(), loader.data().size() - at_.batch * loader.batch_size());
    const bool diverged = !update(batch, items, epoch);
    const bool stopped = is_stopped(diverged);
    if (diverged) {
      drop_dead_checkpoint();
      return false;
    }
    const bool ends = iteration_ == last_ || stopped;
    // Here, before the unfinished epoch is measured: a training that is not interrupted there does not do that, and the
    // best state could be another.
    if (at_.batch < loader.size() && (ends || is_due()) && !save_in_folder()) return false;
    if (ends) break;
  }
  return true;
}

bool Trainer::is_due() const {
  return options_.checkpoint_every > 0 && iteration_ % options_.checkpoint_every == 0;
}

void Trainer::tell_broken(const std::string& parameter) {
  divergence_ = fmt::format(
      "parameter '{}' has values that are not finite; a lower rate, or clipped gradients, may help",
      parameter);
}

/// False, and nothing is saved, where weights are not finite: the checkpoints before are the good ones.
bool Trainer::save_in_folder() {
  if (options_.checkpoint_folder.empty()) return true;
  if (const std::string broken = broken_parameter(net_); !broken.empty()) {
    tell_broken(broken);
    return false;
  }
  write([&] {
    newest_ = save_checkpoint_in(options_.checkpoint_folder, checkpoint(), options_.checkpoint_limit);
  });
  newest_at_ = iteration_;
  return true;
}

/// Removes the newest checkpoint where no update could be made from it: its weights are finite, and what is computed
/// with them is not. The one before it is good, as updates were made from it.
void Trainer::drop_dead_checkpoint() {
  write([&] {
    if (!newest_.empty() && newest_at_ == iteration_) remove_checkpoint(newest_);
  });
}

void Trainer::restore_best() {
  if (best_.empty()) throw Error("trainer: there is no best state to restore; no epoch had a finite value");
  net_.load_state(best_);
}

}  // namespace tapegrad::nn
