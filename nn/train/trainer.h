#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/gradients.h>
#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/data/loader.h>
#include <tapegrad/nn/data/transforms.h>
#include <tapegrad/nn/distributed/data_parallel.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/module.h>
#include <tapegrad/nn/state.h>
#include <tapegrad/nn/train/checkpoint.h>
#include <tapegrad/nn/train/evaluate.h>
#include <tapegrad/optim/optimizer.h>
#include <tapegrad/optim/plateau.h>
#include <tapegrad/optim/schedule.h>

namespace tapegrad::nn {

class RankStep;
class Trainer;
struct BatchGradients;

/// After an update; for TrainerOptions::on_gradients, before it.
struct BatchReport {
  std::int64_t epoch = 0;      ///< from 1
  std::int64_t iteration = 0;  ///< updates so far
  std::int64_t last = 0;       ///< the iteration that training is to end with
  double loss = 0;             ///< of the batch, before the update
  double lr = 0;               ///< of the update
  /// The global norm of the gradient before it was clipped by norm; NaN unless it is, or TrainerOptions::gradient_norm
  /// asks for it.
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();
};

/// After an epoch, also one that was not finished: it is reported again when it has gone on to its end.
struct EpochReport {
  std::int64_t epoch = 0;      ///< from 1
  std::int64_t iteration = 0;  ///< updates so far
  Score training;              ///< on the training data
  Score validation;            ///< NaN where there is no validation data
  double lr = 0;               ///< of the last update
  double seconds = 0;          ///< since fit began
  bool best = false;           ///< better than all epochs before
  /// The mean of BatchReport::gradient_norm over the updates of this epoch; NaN unless all have it.
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();
  /// Items that the epoch was trained on, by the seconds from its first update to its last: preparing batches,
  /// callbacks and checkpoints in between count, evaluation does not. NaN where it is not known.
  double items_per_second = std::numeric_limits<double>::quiet_NaN();
};

/// Why a training ended.
enum class StopReason : std::uint8_t {
  completed,  ///< all epochs or iterations
  early,      ///< the patience was exhausted
  stopped,    ///< by Trainer::stop or TrainerOptions::interrupted
  /// A loss, or a gradient to be clipped by norm, was not finite; no update was made from it. Or weights were not
  /// finite when a checkpoint was to be saved; none was. Weights that are not finite are again those before the
  /// epoch, or at the resumption within it.
  diverged,
};

/// How a training went.
struct History {
  std::vector<EpochReport> epochs{};               ///< all so far
  StopReason stop_reason = StopReason::completed;  ///< of the last call of fit

  /// The best epoch; null before the first one with a finite value.
  TAPEGRAD_API const EpochReport* best() const noexcept;
};

/// By what the best epoch is found, and when there is no progress any more: on the validation data where
/// there is any, otherwise on the training data.
enum class Monitor : std::uint8_t { loss, metric };

/// What a Trainer does beside updates.
struct TrainerOptions {
  std::int64_t epochs = 10;     ///< passes over the training data
  std::int64_t iterations = 0;  ///< if above 0: so many updates, whatever the epochs
  std::int64_t batch = 100;     ///< items in a batch
  bool drop_last = false;       ///< leave out a last batch that is not full
  std::uint64_t seed = 0;       ///< of the order of the items, and of the split
  double validation = 0;        ///< the share of the training data that is split off, where fit is given none

  /// What is made of each batch before the update: images moved and mirrored. See LoaderOptions::transform; an epoch
  /// that was interrupted goes on with what it would have drawn.
  Transform transform{};
  /// What is made of each item before that; see LoaderOptions::item_transform. Evaluation takes items as the data set
  /// has them.
  ItemTransform item_transform{};
  std::uint64_t transform_seed = 0;  ///< of what the two draw
  /// What is made of all that is evaluated, training data too: nothing of `transform`, unless it is given here. For
  /// what the network needs always, such as Normalize.
  Transform evaluation_transform{};
  /// Threads that prepare batches ahead, of training and evaluation: see LoaderOptions::workers. They change no result.
  std::int64_t workers = 0;

  Objective objective{};       ///< what is minimised, and measured
  optim::Schedule schedule{};  ///< of the number of updates; none: the optimizer's rate
  /// Scales that rate after each finished epoch, by what is monitored.
  std::optional<optim::ReduceOnPlateau> plateau{};
  double clip_norm = 0;   ///< if above 0: clip_global_norm of each gradient
  double clip_value = 0;  ///< if above 0: clip_value of each gradient, before that
  /// Reports have the gradient's norm also where it is not clipped by norm. It takes a pass over all gradients in each
  /// update, and changes none.
  bool gradient_norm = false;

  Monitor monitor = Monitor::loss;  ///< what tells the best epoch
  std::int64_t patience = 0;        ///< if above 0: ends after so many finished epochs without a better one
  std::string best_file{};  ///< if not empty: the file in which the network's best state so far is saved
  /// Training scores are measured on all of the training data after each epoch, in evaluation mode. Otherwise
  /// they are means over the epoch's batches, each measured before its update: as good as free, but of
  /// weights that are on the move, and with the dropout.
  bool evaluate_training = true;

  /// If not empty: the folder in which checkpoints of the whole training are saved, as Trainer::save does, for
  /// Trainer::resume to go on from. Made where it is missing.
  std::string checkpoint_folder{};
  /// Updates between two of them; 0: one after each epoch. There is also one in the end.
  std::int64_t checkpoint_every = 0;
  /// So many of the newest stay, at least 2; older ones are removed. On divergence so is one from which no update
  /// could be made: what is then the newest is the last good one.
  std::int64_t checkpoint_limit = 3;
  /// Ranks that train together: see Trainer.
  DataParallel data_parallel{};
  /// Settings of the program's own, saved in checkpoints as text by their names: resume tells where they are different.
  Metadata settings{};

  /// Between backward and the update, before the gradients are clipped: it may look at them and change them,
  /// as training on several machines does. The report has what is known by then: no gradient norm.
  Callback<void(Trainer&, const BatchReport&, Gradients&)> on_gradients{};
  Callback<void(Trainer&, const BatchReport&)> on_batch{};  ///< after each update
  Callback<void(Trainer&, const EpochReport&)> on_epoch{};  ///< after each epoch
  /// If not null: once it is true, set by another thread or a signal handler, fit ends as after Trainer::stop, but
  /// what is reached is not evaluated: an evaluation at hand ends before its next batch. No epoch is reported then,
  /// and none is the best; a checkpoint that is due in the end is saved. Another call of fit, or one that resumes,
  /// measures an epoch whose updates are all made before it goes on: to the bit, as if nothing had been. It must
  /// outlive the trainer.
  const std::atomic<bool>* interrupted = nullptr;
};

/// What Trainer::resume has found.
struct Resumed {
  std::string path{};                     ///< of the checkpoint
  std::vector<std::string> unreadable{};  ///< a line for each newer one that cannot be read, which says why
  /// A line for each setting that is not what it was, as in "epochs is 30, was 20": the new one holds from now on.
  std::vector<std::string> changes{};
};

/// Thrown by Trainer::fit for a training that has diverged (StopReason::diverged); says what is not finite, where it
/// was found, and whether the data were. What was reached before is in the trainer: history, best state, checkpoints.
class TAPEGRAD_API Diverged final : public Error {
 public:
  using Error::Error;
  ~Diverged() override;
};

/// Trains a network by mini-batches.
///
///     optim::Adam adam(net, 0.001);
///     nn::Trainer trainer(net, adam, {.epochs = 20, .validation = 0.1, .patience = 3});
///     const nn::History& history = trainer.fit(mnist.train);
///     trainer.restore_best();
///
/// The result depends on the seed, not on the number of threads. The network and the optimizer must outlive
/// the trainer.
///
/// With TrainerOptions::data_parallel there is a trainer on each rank, with a network and an optimizer of its own, and
/// all call the same functions. fit takes the values of rank 0, its share of each batch, and the mean of all gradients,
/// so that norms and clipping are those of the whole batch; evaluation is shared as well. Callbacks are called on each
/// rank, with the same reports but for times. Rank 0 alone writes files; what stops one rank stops all.
class TAPEGRAD_API Trainer {
 public:
  /// Throws ArgumentError for options that cannot be: below 0, a batch below 1, a share outside [0, 1), a
  /// metric to monitor that the objective does not have; FileError where the best state or checkpoints cannot be
  /// written.
  Trainer(Module& net, optim::Optimizer& optimizer, TrainerOptions options = {});
  /// For networks that are not called as net(batch.x): `forward` computes the outputs that the objective
  /// compares with batch["t"]. The network is what has modes and a state.
  ///
  ///     nn::Trainer trainer(net, [&](const nn::Batch& b) { return net(b.x, b["lengths"]); }, adam);
  Trainer(ModuleBase& net, Forward forward, optim::Optimizer& optimizer, TrainerOptions options = {});
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains, from where the last call ended: epochs, updates and schedule go on, the history grows. An epoch that was
  /// not finished (stop, iterations, divergence, an exception) goes on with its next batch, before the epochs that
  /// are asked for. More updates than can be counted are an endless training. A network that is in evaluation mode is
  /// put into training mode.
  ///
  /// Throws Diverged where there is nothing finite to go on from: see StopReason::diverged for what is left then.
  /// Throws what its parts throw. What an unfinished update has changed is then taken back, also buffers that forward
  /// has replaced and generators, so that another call computes what this one would have. A checkpoint that cannot be
  /// saved is such an error; those before it stay. ArgumentError where a training that starts has a checkpoint_folder
  /// with checkpoints in it, which it would come to remove; on all ranks where networks, settings, data
  /// or numbers of items are not the same on all, or where strict networks make something else of the first items (a
  /// sample is compared), where rates or weights come to differ, for buffers that change their shape, and for more
  /// ranks than micro-batches; where another thread trains the network.
  const History& fit(const Dataset& training, const Dataset& validation = {});
  /// Asks fit to end after the update at hand and the evaluation of what is reached. From a callback, another
  /// thread or a signal handler.
  void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

  /// What there was so far.
  const History& history() const noexcept { return history_; }
  /// The network's state after the best epoch. Empty before the first.
  const State& best_state() const noexcept { return best_; }
  /// Puts the network into that state. Throws Error where there is none.
  void restore_best();

  /// Copies of all that the next update depends on, beside data and settings: the network's state as "net.NAME", the
  /// optimizer's as "optimizer.NAME", the best one as "best.NAME", that of a plateau as "plateau.NAME", and where
  /// training stands: "epoch" (finished ones), "batch" (of the next one, done), "iteration", "waited", "best_value",
  /// and the "items", "loss" and "metric" of the batches done, as sums. The history is not part of it.
  ///
  /// For files there is save().
  State state() const;
  /// Continues from there, to the bit: another call of fit goes on with the batch that came next. Throws
  /// ArgumentError for names that are missing or unexpected and for numbers that cannot be, ShapeError or DtypeError
  /// for a tensor that does not fit; nothing is changed then.
  void load_state(const State& state);

  /// Writes a checkpoint: state(), the history, where this call of fit stands, and the settings. From a callback that
  /// runs after an update, or after fit. Throws Error from one that runs within an update, and what save_state
  /// throws.
  void save(const std::string& path) const;
  /// Continues from a checkpoint, to the bit: a file, or of a folder the newest one that can be read. The next call
  /// of fit completes the one that was interrupted: epochs or iterations count from its start, and where it had been
  /// completed nothing is left to do. It must be given the same data. Of ranks, 0 reads it for all; there may be
  /// another number of them than there was.
  ///
  ///     nn::Trainer trainer(net, adam, {.epochs = 20, .checkpoint_folder = "run"});
  ///     if (!nn::checkpoints_in("run").empty()) trainer.resume("run");
  ///     trainer.fit(data);
  ///
  /// The trainer must have the network, the optimizer and the options that it had, but for epochs, iterations,
  /// patience, the settings of schedule, plateau, clipping and optimizer, gradient_norm, workers, the evaluation's
  /// transform, files, callbacks, `interrupted`, `settings` and, of the objective, the loss and the metric. Throws
  /// ArgumentError that lists what else is different, FileError as load_checkpoint, and what load_state throws; nothing
  /// is changed then.
  Resumed resume(const std::string& path);
  Resumed resume(const Checkpoint& checkpoint);

  /// What is trained, and by what.
  ModuleBase& net() noexcept { return net_; }
  optim::Optimizer& optimizer() noexcept { return optimizer_; }

 private:
  /// Where training stands.
  struct Position {
    std::int64_t epoch = 0;  ///< finished ones
    std::int64_t batch = 0;  ///< how many of the next one are done
    Score sum{0, 0};         ///< over the items of these
    std::int64_t items = 0;
    double seconds = 0;        ///< of training these; NaN where it is not known
    double gradient_norm = 0;  ///< sum over the updates of these; NaN where it is not known
  };
  /// A call of fit: of the last one, or the one that is resumed.
  struct Fit {
    std::int64_t start = 0;       ///< updates before it
    std::int64_t left = 0;        ///< batches of an epoch that was unfinished then
    std::int64_t training = 0;    ///< items
    std::int64_t validation = 0;  ///< items
    double seconds = 0;           ///< so far
    bool resumed = false;         ///< it is to be gone on with
  };
  struct Setting;
  struct Epoch;
  void check_options() const;
  bool begin_fit(std::int64_t batches, const Dataset& training, const Dataset& validation);
  bool train_epoch(Epoch& epoch, const DataLoader& loader);
  bool is_stopped(bool diverged);
  void tell_broken(const std::string& parameter);
  double plateau_scale() const noexcept { return options_.plateau ? options_.plateau->scale() : 1; }
  bool has_ranks() const noexcept { return options_.data_parallel.communicator != nullptr; }
  Communicator& ranks() noexcept { return has_ranks() ? *options_.data_parallel.communicator : one_rank_; }
  template <class Work>
  void write(const Work& work);
  void join_ranks(const Dataset& training, const Dataset& validation);
  std::vector<std::pair<std::string, std::string>> facts(const Dataset& training,
                                                         const Dataset& validation) const;
  void compare_scores(const Dataset& training);
  void compare_weights();
  BatchGradients compute(const Batch& batch) const;
  BatchGradients compute_on_ranks(Batches::Iterator& pieces, std::int64_t items);
  bool save_in_folder();
  void drop_dead_checkpoint();
  bool is_due() const;
  std::vector<Setting> list_settings(std::int64_t iteration) const;
  std::vector<std::pair<std::string, std::string>> describe_settings() const;
  std::vector<std::string> compare_settings(const Checkpoint& checkpoint, std::int64_t iteration) const;
  bool update(Batches::Iterator& batch, std::int64_t items, Epoch& epoch);
  double clip(Gradients& gradients) const;
  bool finish(Epoch& epoch, std::int64_t batches, const Dataset& training, const Dataset& validation);
  State counters() const;
  State fit_state() const;
  Checkpoint checkpoint() const;

  ModuleBase& net_;
  Forward forward_;
  optim::Optimizer& optimizer_;
  TrainerOptions options_;
  double lr_;  ///< the optimizer's own
  Position at_;
  Fit fit_;
  std::string newest_;  ///< checkpoint of the folder, and after how many updates it was saved
  std::int64_t newest_at_ = 0;
  std::string divergence_;  ///< what was not finite
  bool updating_ = false;   ///< within an update, of which a half may be done
  bool fitting_ = false;    ///< within fit
  std::int64_t iteration_ = 0;
  std::int64_t last_ = 0;
  std::int64_t waited_ = 0;  ///< epochs without a better one
  double best_value_ = std::numeric_limits<double>::infinity();
  State best_;
  History history_;
  std::atomic<bool> stop_{false};
  OneRank one_rank_;
  std::unique_ptr<RankStep> rank_step_;  ///< of the call of fit at work, where there are ranks
};

}  // namespace tapegrad::nn
