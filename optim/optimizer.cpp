#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <tapegrad/graph/at_fork.h>
#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/unlisted.h>
#include <tapegrad/ops/loops/find.h>
#include <tapegrad/optim/optimizer.h>

#include <fmt/format.h>

namespace tapegrad::optim {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::string_view kStep = "step";

/// The place of an element whose key an earlier one has, too.
template <class T, class KeyOf>
std::optional<std::size_t> second_of_two(const std::vector<T>& all, KeyOf key_of) {
  std::vector<std::pair<decltype(key_of(all[0])), std::size_t>> keys;
  keys.reserve(all.size());
  for (const T& element : all) keys.emplace_back(key_of(element), keys.size());
  if (!std::ranges::is_sorted(keys)) std::ranges::sort(keys);
  const auto first = std::ranges::adjacent_find(keys, {}, [](const auto& k) { return k.first; });
  return first == keys.end() ? std::nullopt : std::optional(std::next(first)->second);
}

/// All optimizers there are and the threads that made them, so that one can tell what another one updates.
struct Registry {
  std::mutex mutex{};
  std::map<const Optimizer*, std::thread::id> made_by{};
};

// Never destroyed: optimizers that are static variables outlive it otherwise.
Registry& registry() {
  static Registry& of_program = *new Registry;
  return of_program;
}
std::mutex& mutex_of_registry() noexcept { return registry().mutex; }
/// In a child of fork others may have lain on the stack of a thread that is gone.
void keep_those_of_this_thread() noexcept {
  std::erase_if(registry().made_by, [](const auto& o) { return o.second != std::this_thread::get_id(); });
}

Tensor count(std::int64_t n) { return Tensor::from(std::vector<std::int64_t>{n}, Shape{}); }

}  // namespace

ParameterList::ParameterList(const std::vector<Parameter>& parameters) {
  for (const Parameter& p : parameters) named_.emplace_back(std::to_string(named_.size()), p);
}

void ParameterGroups::add(Group group) {
  const std::size_t number = given_as_.empty() ? 0 : given_as_.back() + 1;
  const GroupParameters::Decays& decays = group.parameters.weight_decays();
  if (group.weight_decay || std::ranges::all_of(decays, [](const auto& d) { return !d; })) {
    groups_.push_back(std::move(group));
    given_as_.push_back(number);
    return;
  }
  std::vector<std::pair<std::optional<double>, ParameterList::Named>> by_decay;
  std::size_t i = 0;
  for (const auto& named : group.parameters) {
    const std::optional<double> decay = decays.at(i++);
    auto alike = std::ranges::find(by_decay, decay, [](const auto& g) { return g.first; });
    if (alike == by_decay.end()) alike = by_decay.insert(alike, {decay, {}});
    alike->second.push_back(named);
  }
  for (auto& [decay, parameters] : by_decay) {
    groups_.push_back({.parameters = ParameterList(std::move(parameters)),
                       .lr_scale = group.lr_scale,
                       .weight_decay = decay,
                       .decoupled = group.decoupled});
    given_as_.push_back(number);
  }
}

double Optimizer::require(std::string_view setting, double value, double lo, double hi) const {
  if (value >= lo && value < hi) return value;
  throw ArgumentError(fmt::format("{}: {} is {}; it must be at least {} and {}", name_, setting, value, lo,
                                  hi == kInfinity ? "finite" : fmt::format("less than {}", hi)));
}

double Optimizer::require_momentum(double momentum) const {
  require("momentum", momentum, 0, 1);
  if (narrowest_ != f32 || static_cast<float>(momentum) < 1) return momentum;
  throw ArgumentError(
      fmt::format("{}: momentum is {}, which is 1 in f32; it must be less than 1", name_, momentum));
}

double Optimizer::require_eps(double eps) const {
  if (!(eps > 0 && eps < kInfinity))
    throw ArgumentError(fmt::format("{}: eps is {}; it must be positive and finite", name_, eps));
  const double least = visit_floating(
      narrowest_, []<class T> { return 8 * std::sqrt(static_cast<double>(std::numeric_limits<T>::min())); });
  if (eps >= least) return eps;
  throw ArgumentError(fmt::format(
      "{}: eps is {}; for parameters of {} it must be at least {:.2g}: the square of a gradient so small "
      "underflows",
      name_, eps, name_of(narrowest_), least));
}

void Optimizer::require_rates(double lr) const {
  const double most = visit_floating(narrowest_, []<class T> {
    return static_cast<double>(std::numeric_limits<T>::max() * std::numeric_limits<T>::epsilon());
  });
  const auto check = [&](std::string_view setting, double value) {
    if (value <= most) return;
    throw ArgumentError(fmt::format("{}: {} is {}; for parameters of {} it must be at most {:.2g}", name_,
                                    setting, value, name_of(narrowest_), most));
  };
  for (const auto& [lr_scale, weight_decay, decoupled] : settings_) {
    check("the learning rate", lr * lr_scale);
    check("weight_decay", weight_decay);
    if (decoupled) check("the learning rate times weight_decay", lr * lr_scale * weight_decay);
  }
}

double Optimizer::require_dampening(double dampening) const {
  if (dampening >= 0 && dampening <= 1) return dampening;
  throw ArgumentError(fmt::format("{}: dampening is {}; it must be in [0, 1]", name_, dampening));
}

Optimizer::Optimizer(std::string_view name, const ParameterGroups& groups, double lr,
                     std::vector<std::string_view> moments)
    : name_(name), moments_(std::move(moments)) {
  if (moments_.size() > kMaxMoments)
    throw ArgumentError(
        fmt::format("{}: {} moments; at most {} can be kept", name_, moments_.size(), kMaxMoments));
  if (std::ranges::find(moments_, kStep) != moments_.end())
    throw ArgumentError(
        fmt::format("{}: a moment is called '{}', as the number of updates is in its state", name_, kStep));
  set_lr(lr);
  std::size_t count = 0;
  for (const Group& group : groups)
    count += static_cast<std::size_t>(group.parameters.end() - group.parameters.begin());
  slots_.reserve(count);
  moment_values_.reserve(count * moments_.size());
  for (const Group& group : groups) {
    settings_.push_back({require("lr_scale", group.lr_scale, 0, kInfinity),
                         require("weight_decay", group.weight_decay.value_or(0), 0, kInfinity),
                         group.decoupled});
    for (const auto& [given, parameter] : group.parameters) {
      if (!parameter.defined())
        throw ArgumentError(fmt::format(
            "{}: the parameter '{}'{} is undefined", name_, given,
            groups.size() > 1 ? fmt::format(" of group {}", groups.given_as(settings_.size() - 1)) : ""));
      slots_.push_back({given, parameter, settings_.size() - 1});
      if (parameter.dtype() == f32) narrowest_ = f32;
    }
  }
  if (slots_.empty()) throw ArgumentError(fmt::format("{}: there are no parameters to update", name_));
  require_rates(lr);
  // Of groups that share a name, as those of two lists, the number tells their parameters apart. It is that of the
  // group as it was given: a decay may be another one where training goes on.
  const auto two_of_one_name = [this] {
    return second_of_two(slots_, [](const Slot& s) {
      return std::pair(std::hash<std::string_view>()(s.name), std::string_view(s.name));
    });
  };
  std::optional<std::size_t> of_one_name = two_of_one_name();
  if (of_one_name && groups.size() > 1) {
    for (Slot& s : slots_) s.name = fmt::format("{}.{}", groups.given_as(s.group), s.name);
    of_one_name = two_of_one_name();
  }
  if (const auto twice = second_of_two(slots_, [](const Slot& s) { return s.parameter.id(); }))
    throw ArgumentError(
        fmt::format("{}: the parameter '{}' is listed twice; it would be updated twice a step", name_,
                    slots_[*twice].name));
  if (of_one_name)
    throw ArgumentError(fmt::format("{}: two parameters are called '{}'; put them in groups of their own",
                                    name_, slots_[*of_one_name].name));
  for (const Slot& s : slots_)
    for (std::size_t m = 0; m < moments_.size(); ++m)
      moment_values_.push_back(Tensor::zeros(s.parameter.shape(), s.parameter.dtype()));
  tapegrad::detail::unlock_in_children<&mutex_of_registry, &keep_those_of_this_thread>();
  const std::lock_guard lock(registry().mutex);
  registry().made_by.insert_or_assign(this, std::this_thread::get_id());
}

Optimizer::~Optimizer() {
  const std::lock_guard lock(registry().mutex);
  registry().made_by.erase(this);
}

void Optimizer::set_lr(double lr) {
  require_rates(require("the learning rate", lr, 0, kInfinity));
  lr_ = lr;
}

std::vector<std::pair<std::string, std::string>> Optimizer::settings() const {
  std::vector<std::pair<std::string, std::string>> all;
  const auto add = [&](std::string name, double value) {
    all.emplace_back(std::move(name), fmt::format("{}", value));
  };
  for (const auto& [name, value] : rule_settings()) add(std::string(name), value);
  for (std::size_t i = 0; i < settings_.size(); ++i) {
    const std::string prefix = settings_.size() > 1 ? fmt::format("{}.", i) : "";
    if (settings_.size() > 1) {
      // By which parameters the groups differ: they stand in the order of the groups.
      const auto first = std::ranges::lower_bound(slots_, i, {}, &Slot::group);
      const auto end = std::ranges::upper_bound(slots_, i, {}, &Slot::group);
      if (first != end)
        all.emplace_back(prefix + "parameters",
                         fmt::format("{}, '{}' to '{}'", end - first, first->name, std::prev(end)->name));
    }
    add(prefix + "lr_scale", settings_[i].lr_scale);
    add(prefix + (settings_[i].decoupled ? "decoupled_weight_decay" : "weight_decay"),
        settings_[i].weight_decay);
  }
  return all;
}

void Optimizer::step(const Gradients& gradients) {
  // Looked at before anything is changed, so that an error leaves no half update.
  bool any = false;
  for (const Slot& s : slots_) {
    const Tensor* g = gradients.find(s.parameter);
    if (!g || s.parameter.frozen()) continue;
    any = true;
    if (g->shape() != s.parameter.shape())
      throw ShapeError(fmt::format("{}: the gradient of '{}' is {}, the parameter {}", name_, s.name,
                                   to_string(g->shape()), to_string(s.parameter.shape())));
    if (g->dtype() != s.parameter.dtype())
      throw DtypeError(fmt::format("{}: the gradient of '{}' is {}, the parameter {}", name_, s.name,
                                   name_of(g->dtype()), name_of(s.parameter.dtype())));
  }
  if (!any)
    throw Error(fmt::format(
        "{}: none of the {} parameters ('{}', ...) has a gradient among the {} given; the loss was "
        "computed from other parameters, or these are frozen",
        name_, slots_.size(), slots_.front().name, gradients.size()));
  if (tapegrad::detail::any_unlisted()) require_listed(gradients);
  if (steps_ == std::numeric_limits<std::int64_t>::max())
    throw Error(fmt::format("{}: it has made {} steps and can count no further; load a state with fewer",
                            name_, steps_));
  ++steps_;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& s = slots_[i];
    const Tensor* g = gradients.find(s.parameter);
    if (!g || s.parameter.frozen()) continue;
    const auto& [lr_scale, weight_decay, decoupled] = settings_[s.group];
    const double lr = lr_ * lr_scale;
    update(s.parameter, *g, moment_values_of(i),
           {.step = ++s.step,
            .lr = lr,
            .weight_decay = decoupled ? 0 : weight_decay,
            .shrink = decoupled ? lr * weight_decay : 0});
  }
}

void Optimizer::require_listed(const Gradients& gradients) const {
  for (const auto& [key, gradient] : gradients) {
    const auto parameter = key.parameter;
    if (!parameter) continue;
    const tapegrad::detail::UnlistedNote note = tapegrad::detail::unlisted_note(parameter);
    if (note.text.empty()) continue;
    // A gradient of zeros is of what is detached: a critic leaves the trunk that it shares to the actor.
    if (!note.beside && tapegrad::detail::all_hold(gradient, [](auto v) { return v == 0; })) continue;
    // What another optimizer updates is not forgotten: a generator's step sees gradients of the critic.
    if (note.beside ? updates(parameter) : !is_updated(parameter))
      throw Error(fmt::format("{}: {}", name_, note.text));
  }
}

bool Optimizer::updates(std::uint64_t parameter) const {
  return std::ranges::any_of(slots_, [&](const Slot& s) { return s.parameter.id() == parameter; });
}

bool Optimizer::is_updated(std::uint64_t parameter) {
  const std::lock_guard lock(registry().mutex);
  return std::ranges::any_of(registry().made_by, [&](const auto& o) { return o.first->updates(parameter); });
}

State Optimizer::view() const {
  State state;
  state.emplace_back(kStep, count(steps_));
  state.emplace_back("lr", Tensor::scalar(lr_, f64));
  auto value = moment_values_.begin();
  for (const Slot& s : slots_) {
    for (const std::string_view moment : moments_)
      state.emplace_back(fmt::format("{}.{}", s.name, moment), *value++);
    state.emplace_back(fmt::format("{}.{}", s.name, kStep), count(s.step));
  }
  return state;
}

State Optimizer::state() const {
  State state = view();
  for (auto& [name, tensor] : state) tensor = tensor.copy();
  return state;
}

void Optimizer::load_state(const State& state) {
  const State now = view();
  std::vector<Tensor> loaded = match_state(fmt::format("{}: load_state", name_), now, state);
  const std::int64_t steps = loaded[0].values<std::int64_t>()[0];
  if (steps < 0)
    throw ArgumentError(
        fmt::format("{}: load_state: '{}' is {}; it cannot be negative", name_, kStep, steps));
  const std::size_t of_each = moments_.size() + 1;
  for (std::size_t i = 2 + moments_.size(); i < loaded.size(); i += of_each)
    if (const std::int64_t step = loaded[i].values<std::int64_t>()[0]; step < 0 || step > steps)
      throw ArgumentError(fmt::format("{}: load_state: '{}' is {} of {} updates; it must be in [0, {}]",
                                      name_, now[i].first, step, steps, steps));
  for (Tensor& t : loaded) t = t.copy();

  set_lr(loaded[1].item());
  steps_ = steps;
  auto next = loaded.begin() + 2;
  auto value = moment_values_.begin();
  for (Slot& s : slots_) {
    for (std::size_t m = 0; m < moments_.size(); ++m) *value++ = std::move(*next++);
    s.step = (next++)->values<std::int64_t>()[0];
  }
}

}  // namespace tapegrad::optim
