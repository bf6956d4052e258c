#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/values.h>
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

namespace {

/// Takes back what a forward pass has changed in a network, unless it is kept.
class Rollback final : Visitor {
 public:
  explicit Rollback(ModuleBase& net) { net.visit(*this); }
  ~Rollback() override {
    if (kept_) return;
    for (const auto& [buffer, value] : buffers_) *buffer = value;
    for (const auto& [generator, value] : generators_) *generator = value;
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  void keep() noexcept { kept_ = true; }

 private:
  template <class T>
  using List = std::vector<std::pair<T*, T>, tapegrad::detail::PoolAllocator<std::pair<T*, T>>>;

  void buffer(std::string_view, Buffer& b) override { buffers_.emplace_back(&b, b); }
  void generator(std::string_view, Generator& g) override { generators_.emplace_back(&g, g); }
  void module(std::string_view, ModuleBase& m) override { m.visit(*this); }

  List<Buffer> buffers_;
  List<Generator> generators_;
  bool kept_ = false;
};

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
  std::chrono::steady_clock::time_point start;  ///< of fit
  EpochReport report{};
};

double Trainer::clip(Gradients& gradients) const {
  if (options_.clip_value > 0) tapegrad::clip_value(gradients, options_.clip_value);
  return options_.clip_norm > 0 ? clip_global_norm(gradients, options_.clip_norm)
                                : std::numeric_limits<double>::quiet_NaN();
}

namespace {
bool is_finite(ModuleBase& net) {
  return std::ranges::all_of(
      net.state(), [](const auto& named) { return tapegrad::detail::first_non_finite(named.second) < 0; });
}
}  // namespace

/// Returns false where there is no finite loss or gradient to go by.
bool Trainer::update(const Batch& batch, Epoch& epoch) {
  if (options_.schedule.defined() || options_.plateau) {
    const double rate = options_.schedule.defined() ? options_.schedule(iteration_) : lr_;
    optimizer_.set_lr(rate * (options_.plateau ? options_.plateau->scale() : 1));
  }
  Rollback rollback(net_);
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
  const double metric = options_.evaluate_training ? 0 : options_.objective.metric(y, batch.t);
  optimizer_.step(gradients);

  // From here to the callback nothing throws: the update has been made, and counts.
  rollback.keep();
  report.iteration = ++iteration_;
  const auto n = static_cast<double>(batch.size());
  ++at_.batch;
  at_.items += batch.size();
  at_.sum.loss += n * value;
  at_.sum.metric += n * metric;
  report.lr = epoch.report.lr = optimizer_.lr();
  epoch.report.iteration = iteration_;
  if (options_.on_batch) options_.on_batch(*this, report);
  return true;
}

/// Measures what the epoch has reached, keeps it where it is the best, and reports it.
void Trainer::finish(Epoch& epoch, std::int64_t batches, const Dataset& training, const Dataset& validation) {
  EpochReport& r = epoch.report;
  const auto items = static_cast<double>(at_.items);
  const auto measure = [&](const Dataset& data) {
    return evaluate(net_, forward_, data, options_.objective, kEvaluationBatch,
                    options_.evaluation_transform);
  };
  r.training =
      options_.evaluate_training ? measure(training) : Score{at_.sum.loss / items, at_.sum.metric / items};
  if (validation.size() > 0) r.validation = measure(validation);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - epoch.start).count();

  const Score& judged = validation.size() > 0 ? r.validation : r.training;
  const double value = options_.monitor == Monitor::loss ? judged.loss : -judged.metric;
  r.best = value < best_value_;
  State state;
  if (r.best) {
    state = net_.state();
    if (!options_.checkpoint.empty()) save_state(options_.checkpoint, state);
  }
  history_.epochs.push_back(r);

  // From here to the callback nothing throws.
  if (r.best) {
    best_value_ = value;
    best_ = std::move(state);
  }
  if (r.best) waited_ = 0;
  if (at_.batch >= batches) {  // an unfinished epoch is judged when it has gone on to its end
    if (options_.plateau) (*options_.plateau)(value);
    if (!r.best) ++waited_;
    at_ = {.epoch = at_.epoch + 1};
  }
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
  const DataLoader loader(training, {.batch = options_.batch,
                                     .drop_last = options_.drop_last,
                                     .seed = options_.seed,
                                     .transform = options_.transform,
                                     .transform_seed = options_.transform_seed});
  const std::int64_t batches = loader.size();
  const std::int64_t left = at_.batch > 0 ? std::max<std::int64_t>(batches - at_.batch, 0) : 0;
  last_ = options_.iterations > 0 ? count_up(iteration_, options_.iterations, 1)
                                  : count_up(count_up(iteration_, left, 1), options_.epochs, batches);
  history_.stop_reason = StopReason::completed;
  if (waited_ >= options_.patience) waited_ = 0;
  stop_ = false;
  const auto start = std::chrono::steady_clock::now();
  if (!net_.training()) net_.train();

  const auto stopped = [this] { return stop_.load(std::memory_order_relaxed); };
  while (iteration_ < last_ && history_.stop_reason == StopReason::completed) {
    const State before = net_.state();
    Epoch epoch{.start = start};
    epoch.report.epoch = at_.epoch + 1;
    epoch.report.iteration = iteration_;
    epoch.report.lr = optimizer_.lr();
    if (at_.batch < batches)
      for (const Batch& batch : loader.epoch(static_cast<std::uint64_t>(epoch.report.epoch), at_.batch)) {
        const bool finite = update(batch, epoch);
        if (!finite) history_.stop_reason = StopReason::diverged;
        if (!finite || iteration_ == last_ || stopped()) break;
      }
    if (at_.items > 0) finish(epoch, batches, training, validation);
    if (!std::isfinite(epoch.report.training.loss)) history_.stop_reason = StopReason::diverged;
    if (history_.stop_reason == StopReason::diverged && !is_finite(net_)) net_.load_state(before);
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

// ---- state ----

State Trainer::counters() const {
  const auto number = [](std::int64_t n) { return Tensor::from(std::vector<std::int64_t>{n}, Shape{}); };
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
    if (n < 0)
      throw ArgumentError(
          fmt::format("{}: '{}' is {}; it cannot be negative", kWhat, counters()[i].first, n));
    return n;
  };
  const Position at{count(0), count(1), {numbers[5].item(), numbers[6].item()}, count(4)};
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
  const State before = net_.state();
  net_.load_state(net);
  try {
    if (!best.empty()) {  // as restore_best will load it
      net_.load_state(best);
      net_.load_state(net);
    }
    optimizer_.load_state(optimizer);
  } catch (...) {
    net_.load_state(before);
    throw;
  }
  at_ = at;
  iteration_ = iteration;
  waited_ = waited;
  best_value_ = numbers[7].item();
  best_ = std::move(best);
  options_.plateau = std::move(plateau);
}

}  // namespace tapegrad::nn
