// What a trainer saves and goes on from.
#include <algorithm>
#include <array>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/values.h>
#include <tapegrad/nn/loadable_state.h>
#include <tapegrad/nn/train/trainer.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {
/// Training can count on from there.
constexpr std::int64_t kMostCounted = std::int64_t{1} << 62;

Tensor number(std::int64_t n) { return Tensor::from(std::vector<std::int64_t>{n}, Shape{}); }
}  // namespace

State Trainer::counters() const {
  return {{"epoch", number(at_.epoch)},
          {"batch", number(at_.batch)},
          {"iteration", number(iteration_)},
          {"waited", number(waited_)},
          {"items", number(at_.items)},
          {"loss", Tensor::scalar(at_.sum.loss, f64)},
          {"metric", Tensor::scalar(at_.sum.metric, f64)},
          {"best_value", Tensor::scalar(best_value_, f64)}};
}

State Trainer::state() const {
  State all = counters();
  const auto add = [&](std::string_view part, State state) {
    for (auto& [name, tensor] : state)
      all.emplace_back(fmt::format("{}.{}", part, name), part == "best" ? tensor.copy() : std::move(tensor));
  };
  add("net", net_.state());
  add("optimizer", optimizer_.state());
  add("best", best_);
  if (options_.plateau) add("plateau", options_.plateau->state());
  return all;
}

void Trainer::load_state(const State& state) {
  constexpr const char* kWhat = "trainer: load_state";
  std::map<std::string, State, std::less<>> parts;
  for (const auto& [name, tensor] : state) {
    const std::size_t dot = name.find('.');
    if (dot == std::string::npos)
      parts[""].emplace_back(name, tensor);
    else
      parts[name.substr(0, dot)].emplace_back(name.substr(dot + 1), tensor);
  }
  const auto take = [&](std::string_view part) {
    const auto found = parts.find(part);
    return found == parts.end() ? State() : std::move(parts.extract(found).mapped());
  };
  const std::vector<Tensor> numbers = optim::match_state(kWhat, counters(), take(""));
  const auto count = [&](std::size_t i) {
    const std::int64_t n = numbers[i].values<std::int64_t>()[0];
    if (n < 0 || n > kMostCounted)
      throw ArgumentError(
          fmt::format("{}: '{}' is {}; it must be in [0, {}]", kWhat, counters()[i].first, n, kMostCounted));
    return n;
  };
  Position at{count(0), count(1), {numbers[5].item(), numbers[6].item()}, count(4)};
  if (at.items > 0)  // they are not part of the state
    at.seconds = at.gradient_norm = std::numeric_limits<double>::quiet_NaN();
  const std::int64_t iteration = count(2);
  const std::int64_t waited = count(3);
  State best;
  for (const auto& [name, tensor] : take("best")) best.emplace_back(name, tensor.copy());
  std::optional<optim::ReduceOnPlateau> plateau = options_.plateau;
  if (plateau) plateau->load_state(take("plateau"));
  const State net = take("net");
  const State optimizer = take("optimizer");
  if (!parts.empty())
    throw ArgumentError(fmt::format("{}: '{}.{}' is unexpected{}", kWhat, parts.begin()->first,
                                    parts.begin()->second.front().first,
                                    parts.begin()->first == "plateau" ? "; the trainer has no plateau" : ""));
  const double best_value = numbers[7].item();
  LoadableState loadable(net_, net);
  if (!best.empty()) LoadableState(net_, best);  // as restore_best will load it
  optimizer_.load_state(optimizer);
  // From here on nothing fails.
  loadable.load();
  at_ = at;
  iteration_ = iteration;
  waited_ = waited;
  best_value_ = best_value;
  best_ = std::move(best);
  options_.plateau = std::move(plateau);
}

// ---- checkpoints ----

namespace {

constexpr std::string_view kOfHistory = "history.";
constexpr std::string_view kOfFit = "fit.";

/// The columns of a history, by name.
struct Count {
  std::string_view name;
  std::int64_t EpochReport::*of;
};
struct PartOfScore {
  std::string_view name;
  Score EpochReport::*score;
  double Score::*of;
};
struct Number {
  std::string_view name;
  double EpochReport::*of;
};
constexpr Count kCounts[] = {{"epoch", &EpochReport::epoch}, {"iteration", &EpochReport::iteration}};
constexpr std::string_view kBest = "best";
constexpr PartOfScore kScores[] = {{"training_loss", &EpochReport::training, &Score::loss},
                                   {"training_metric", &EpochReport::training, &Score::metric},
                                   {"validation_loss", &EpochReport::validation, &Score::loss},
                                   {"validation_metric", &EpochReport::validation, &Score::metric}};
constexpr Number kNumbers[] = {{"lr", &EpochReport::lr},
                               {"seconds", &EpochReport::seconds},
                               {"gradient_norm", &EpochReport::gradient_norm},
                               {"items_per_second", &EpochReport::items_per_second}};

/// One tensor [n] for each column of n reports.
State to_columns(const std::vector<EpochReport>& epochs) {
  State columns;
  const Shape shape{static_cast<std::int64_t>(epochs.size())};
  const auto add = [&]<class T>(std::string_view name, T, const auto& value_of) {
    std::vector<T> values;
    values.reserve(epochs.size());
    for (const EpochReport& e : epochs) values.push_back(value_of(e));
    columns.emplace_back(name, Tensor::from(values, shape));
  };
  for (const Count& c : kCounts) add(c.name, std::int64_t{}, [&](const EpochReport& e) { return e.*c.of; });
  add(kBest, std::int64_t{}, [](const EpochReport& e) { return std::int64_t{e.best}; });
  for (const PartOfScore& s : kScores)
    add(s.name, double{}, [&](const EpochReport& e) { return e.*s.score.*s.of; });
  for (const Number& n : kNumbers) add(n.name, double{}, [&](const EpochReport& e) { return e.*n.of; });
  return columns;
}

/// Adds numbers that an older checkpoint does not have: they are not known.
void add_unknown(State& given, std::initializer_list<std::string_view> names, const Shape& shape) {
  for (const std::string_view name : names)
    if (std::ranges::find(given, name, &State::value_type::first) == given.end())
      given.emplace_back(name, Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), f64));
}

std::vector<EpochReport> from_columns(const char* what, State given) {
  // Only where all columns are of one length is there memory for as many reports.
  std::size_t n = 0;
  for (const auto& [name, column] : given) {
    if (column.shape() != given.front().second.shape() || column.rank() != 1)
      throw ShapeError(fmt::format("{}: the history's '{}' is {} and its '{}' is {}; all columns are [n]",
                                   what, given.front().first, to_string(given.front().second.shape()), name,
                                   to_string(column.shape())));
    n = static_cast<std::size_t>(column.size());
  }
  if (!given.empty()) {
    const Shape shape = given.front().second.shape();
    add_unknown(given, {"gradient_norm", "items_per_second"}, shape);
  }
  if (given.size() != to_columns({}).size()) n = 0;  // the names do not match
  std::vector<EpochReport> epochs(n);
  const std::vector<Tensor> columns = optim::match_state(what, to_columns(epochs), given);
  auto column = columns.begin();
  const auto take = [&]<class T>(T, const auto& set) {
    const std::span<const T> values = (column++)->values<T>();
    for (std::size_t i = 0; i < n; ++i) set(epochs[i], values[i]);
  };
  for (const Count& c : kCounts)
    take(std::int64_t{}, [&](EpochReport& e, std::int64_t value) { e.*c.of = value; });
  take(std::int64_t{}, [](EpochReport& e, std::int64_t value) { e.best = value != 0; });
  for (const PartOfScore& s : kScores)
    take(double{}, [&](EpochReport& e, double value) { e.*s.score.*s.of = value; });
  for (const Number& x : kNumbers) take(double{}, [&](EpochReport& e, double value) { e.*x.of = value; });
  return epochs;
}

/// Takes what starts with `prefix` out of a state, without it.
State extract(State& state, std::string_view prefix) {
  State part;
  State others;
  for (auto& [name, tensor] : state)
    if (name.starts_with(prefix))
      part.emplace_back(name.substr(prefix.size()), std::move(tensor));
    else
      others.emplace_back(std::move(name), std::move(tensor));
  state = std::move(others);
  return part;
}

/// The number of updates in a trainer's state; 0 where load_state will say what is wrong with it.
std::int64_t iteration_in(const State& state) {
  for (const auto& [name, t] : state)
    if (name == "iteration" && t.shape() == Shape{} && t.dtype() == i64)
      return std::max<std::int64_t>(t.values<std::int64_t>()[0], 0);
  return 0;
}

/// The setting that a training without ranks does not have.
constexpr const char* kMicroBatches = "micro_batches";

std::string yes_or_no(bool b) { return b ? "yes" : "no"; }

}  // namespace

/// What a training is made with.
struct Trainer::Setting {
  std::string name;
  std::string value;
  bool fixed;  ///< a training that goes on cannot have another one
};

std::vector<Trainer::Setting> Trainer::list_settings(std::int64_t iteration) const {
  const TrainerOptions& o = options_;
  std::vector<Setting> all;
  const auto fixed = [&](const char* name, const auto& value) {
    all.push_back({name, fmt::format("{}", value), true});
  };
  const auto changeable = [&](const std::string& name, const auto& value) {
    all.push_back({name, fmt::format("{}", value), false});
  };
  fixed("batch", o.batch);
  fixed("drop_last", yes_or_no(o.drop_last));
  fixed("seed", o.seed);
  fixed("validation", o.validation);
  fixed("transform", o.item_transform ? (o.transform ? "of items and batches" : "of items")
                                      : yes_or_no(static_cast<bool>(o.transform)));
  fixed("transform_seed", o.transform_seed);
  fixed("monitor", o.monitor == Monitor::loss ? "loss" : "metric");
  fixed("evaluate_training", yes_or_no(o.evaluate_training));
  fixed("plateau", yes_or_no(o.plateau.has_value()));
  if (has_ranks())
    fixed(kMicroBatches, o.data_parallel.strict ? fmt::format("{}", o.data_parallel.micro_batches)
                                                : std::string("one for each rank"));
  fixed("optimizer", optimizer_.name());
  for (const auto& [name, value] : optimizer_.settings()) changeable("optimizer." + name, value);
  changeable("objective", o.objective.name());
  changeable("metric", yes_or_no(o.objective.has_metric()));
  changeable("epochs", o.epochs);
  changeable("iterations", o.iterations);
  changeable("patience", o.patience);
  changeable("clip_norm", o.clip_norm);
  changeable("clip_value", o.clip_value);
  changeable("lr", lr_);
  // A schedule is a function, of which only rates can be compared.
  changeable("schedule", o.schedule.defined()
                             ? fmt::format("{} in update {}", o.schedule(iteration), iteration + 1)
                             : std::string("none"));
  return all;
}

std::vector<std::pair<std::string, std::string>> Trainer::describe_settings() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [name, value, is_fixed] : list_settings(iteration_)) all.emplace_back(name, value);
  return all;
}

/// A line for each setting that may be different and is. Throws for those that may not.
std::vector<std::string> Trainer::compare_settings(const Checkpoint& checkpoint,
                                                   std::int64_t iteration) const {
  std::vector<std::string> fixed;
  std::vector<std::string> changes;
  Metadata before = checkpoint.trainer_settings;
  for (const auto& [name, value, is_fixed] : list_settings(iteration)) {
    const auto was = before.extract(name);
    if (was && was.mapped() == value) continue;
    if (!was && !is_fixed) continue;  // of a checkpoint from before there was that setting
    (is_fixed ? fixed : changes)
        .push_back(fmt::format("{} is {}, was {}", name, value, was ? was.mapped() : "not there"));
  }
  for (const auto& [name, value] : before)
    (name == kMicroBatches ? fixed : changes).push_back(fmt::format("{} is not there, was {}", name, value));
  if (!fixed.empty())
    throw ArgumentError(fmt::format(
        "trainer: resume: '{}' was saved with other settings: {}. A training that goes on must have them as "
        "they were",
        checkpoint.path, fmt::join(fixed, "; ")));

  before = checkpoint.settings;
  for (const auto& [name, value] : options_.settings) {
    const auto was = before.extract(name);
    if (!was || was.mapped() != value)
      changes.push_back(fmt::format("{} is {}, was {}", name, value, was ? was.mapped() : "not given"));
  }
  for (const auto& [name, value] : before)
    changes.push_back(fmt::format("{} is not given, was {}", name, value));
  return changes;
}

Checkpoint Trainer::checkpoint() const {
  if (updating_)
    throw Error(
        "trainer: save: an update is at work, of which a half may be done; save from on_batch or on_epoch, or "
        "after fit");
  Checkpoint c{.tensors = state(), .settings = options_.settings};
  for (auto& [name, tensor] : to_columns(history_.epochs))
    c.tensors.emplace_back(std::string(kOfHistory) + name, std::move(tensor));
  for (auto& [name, tensor] : fit_state())
    c.tensors.emplace_back(std::string(kOfFit) + name, std::move(tensor));
  for (const auto& [name, value, is_fixed] : list_settings(iteration_))
    c.trainer_settings.emplace(name, value);
  return c;
}

State Trainer::fit_state() const {
  return {{"start", number(fit_.start)},
          {"left", number(fit_.left)},
          {"training", number(fit_.training)},
          {"validation", number(fit_.validation)},
          {"seconds", Tensor::scalar(fit_.seconds, f64)},
          {"epoch_seconds", Tensor::scalar(at_.seconds, f64)},
          {"gradient_norm", Tensor::scalar(at_.gradient_norm, f64)}};
}

void Trainer::save(const std::string& path) const { save_checkpoint(path, checkpoint()); }

Resumed Trainer::resume(const Checkpoint& checkpoint) {
  constexpr const char* kWhat = "trainer: resume";
  if (updating_) throw Error("trainer: resume: an update is at work; resume before fit");
  State state = checkpoint.tensors;
  std::vector<EpochReport> epochs = from_columns(kWhat, extract(state, kOfHistory));
  State fit = extract(state, kOfFit);
  add_unknown(fit, {"epoch_seconds", "gradient_norm"}, Shape{});
  const std::vector<Tensor> numbers = optim::match_state(kWhat, fit_state(), fit);
  const std::int64_t iteration = iteration_in(state);
  std::array<std::int64_t, 4> counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i] = numbers[i].values<std::int64_t>()[0];
    const std::int64_t most = i == 0 ? iteration : kMostCounted;
    if (counts[i] < 0 || counts[i] > most)
      throw ArgumentError(fmt::format("{}: 'fit.{}' is {}; it must be in [0, {}]", kWhat,
                                      fit_state()[i].first, counts[i], most));
  }
  const double seconds = numbers[4].item();
  constexpr double kLongest = 1e9;  // seconds, as many as a clock of nanoseconds can count
  if (!(seconds >= 0 && seconds < kLongest))
    throw ArgumentError(
        fmt::format("{}: 'fit.seconds' is {}; it must be in [0, {})", kWhat, seconds, kLongest));
  const double epoch_seconds = numbers[5].item();
  if (epoch_seconds < 0 || epoch_seconds >= kLongest)  // NaN: not known
    throw ArgumentError(
        fmt::format("{}: 'fit.epoch_seconds' is {}; it must be in [0, {})", kWhat, epoch_seconds, kLongest));
  Resumed resumed{.path = checkpoint.path, .unreadable = checkpoint.unreadable};
  resumed.changes = compare_settings(checkpoint, iteration);
  const auto lr = checkpoint.trainer_settings.find("lr");
  const bool same_lr = lr != checkpoint.trainer_settings.end() && lr->second == fmt::format("{}", lr_);

  load_state(state);
  // The rate of the state is that of the next update. One that the program has changed holds from now on.
  if (!same_lr) optimizer_.set_lr(lr_ * plateau_scale());
  // What was reached by another loss is no measure for this one.
  const auto objective = checkpoint.trainer_settings.find("objective");
  if (objective != checkpoint.trainer_settings.end() && objective->second != options_.objective.name()) {
    best_value_ = std::numeric_limits<double>::infinity();
    waited_ = 0;
  }
  history_ = {.epochs = std::move(epochs)};
  fit_ = {counts[0], counts[1], counts[2], counts[3], seconds, true};
  at_.seconds = epoch_seconds;
  at_.gradient_norm = numbers[6].item();
  return resumed;
}

}  // namespace tapegrad::nn
