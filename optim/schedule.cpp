#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

#include <tapegrad/graph/errors.h>
#include <tapegrad/optim/schedule.h>

#include <fmt/format.h>

namespace tapegrad::optim {

namespace {

void require(bool holds, std::string_view schedule, std::string_view what, double given,
             std::string_view range) {
  if (!holds)
    throw ArgumentError(fmt::format("schedule {}: {} is {}; it must be {}", schedule, what, given, range));
}
void require_rate(std::string_view schedule, std::string_view what, double rate) {
  require(rate >= 0 && std::isfinite(rate), schedule, what, rate, "at least 0 and finite");
}
void require_steps(std::string_view schedule, std::string_view what, std::int64_t steps) {
  require(steps >= 1, schedule, what, static_cast<double>(steps), "at least 1");
}
void require_factor(std::string_view schedule, double factor) {
  require(factor > 0 && factor <= 1, schedule, "the factor", factor, "above 0 and at most 1");
}
void require_defined(std::string_view schedule, const Schedule& s) {
  if (!s.defined()) throw ArgumentError(fmt::format("schedule {}: a schedule given is undefined", schedule));
}

/// How much of `whole` is done at this step, in [0, 1].
double share(std::int64_t step, double whole) { return std::min(1.0, static_cast<double>(step) / whole); }

/// From a to b along half a cosine.
double half_cosine(double a, double b, double share) {
  return b + (a - b) * (1 + std::cos(std::numbers::pi * share)) / 2;
}

}  // namespace

Schedule::Schedule(double rate) {
  require_rate("constant", "the rate", rate);
  rate_ = [rate](std::int64_t) { return rate; };
}

double Schedule::operator()(std::int64_t step) const {
  if (!rate_) throw ArgumentError("schedule: it is undefined and gives no rate");
  if (step < 0) throw ArgumentError(fmt::format("schedule: the rate of step {}; steps count from 0", step));
  return rate_(step);
}

Schedule Schedule::followed_by(std::int64_t at, const Schedule& then) const {
  require(at >= 0, "followed_by", "the step", static_cast<double>(at), "at least 0");
  require_defined("followed_by", *this);
  require_defined("followed_by", then);
  return [first = *this, at, then](std::int64_t step) { return step < at ? first(step) : then(step - at); };
}

Schedule operator*(const Schedule& schedule, double factor) {
  require_defined("times a factor", schedule);
  require_rate("times a factor", "the factor", factor);
  return [schedule, factor](std::int64_t step) { return schedule(step) * factor; };
}

Schedule step_decay(double rate, std::int64_t every, double factor) {
  require_rate("step_decay", "the rate", rate);
  require_steps("step_decay", "every", every);
  require_factor("step_decay", factor);
  return [=](std::int64_t step) {
    const std::int64_t stages = step / every;
    return rate * std::pow(factor, static_cast<double>(stages));
  };
}

Schedule exponential_decay(double rate, double factor, std::int64_t every) {
  require_rate("exponential_decay", "the rate", rate);
  require_steps("exponential_decay", "every", every);
  require_factor("exponential_decay", factor);
  return [=](std::int64_t step) {
    return rate * std::pow(factor, static_cast<double>(step) / static_cast<double>(every));
  };
}

Schedule inverse_time_decay(double rate, double decay) {
  require_rate("inverse_time_decay", "the rate", rate);
  require_rate("inverse_time_decay", "the decay", decay);
  return [=](std::int64_t step) { return rate / (1 + decay * static_cast<double>(step)); };
}

Schedule linear(double from, double to, std::int64_t steps) {
  require_rate("linear", "the first rate", from);
  require_rate("linear", "the last rate", to);
  require_steps("linear", "the number of steps", steps);
  return [=](std::int64_t step) {
    const double done = share(step, static_cast<double>(steps));
    return from * (1 - done) + to * done;
  };
}

Schedule cosine(double rate, std::int64_t steps, double last) {
  require_rate("cosine", "the rate", rate);
  require_rate("cosine", "the last rate", last);
  require_steps("cosine", "the number of steps", steps);
  return [=](std::int64_t step) { return half_cosine(rate, last, share(step, static_cast<double>(steps))); };
}

Schedule warm_up(std::int64_t steps, const Schedule& then, std::optional<double> start) {
  require_steps("warm_up", "the number of steps", steps);
  require_defined("warm_up", then);
  const double first = start.value_or(1 / (static_cast<double>(steps) + 1));
  require(first >= 0 && first <= 1, "warm_up", "start", first, "in [0, 1]");
  return linear(then(0) * first, then(0), steps).followed_by(steps, then);
}

Schedule one_cycle(double highest, std::int64_t steps, const OneCycleOptions& o) {
  require_rate("one_cycle", "the highest rate", highest);
  require_steps("one_cycle", "the number of steps", steps);
  require(o.rise > 0 && o.rise < 1, "one_cycle", "rise", o.rise, "above 0 and below 1");
  require(o.start >= 0 && o.start <= 1, "one_cycle", "start", o.start, "in [0, 1]");
  require(o.last >= 0 && o.last <= 1, "one_cycle", "last", o.last, "in [0, 1]");
  require(!o.three_phase || o.rise < 0.5, "one_cycle", "rise", o.rise, "below 1/2 in three phases");
  // The steps that turns stand at; below 0 where a rise takes less than a step.
  const double top = o.rise * static_cast<double>(steps) - 1;
  const double end = static_cast<double>(steps) - 1;
  const double down = o.three_phase ? 2 * top : end;
  const double first = highest * o.start, last = highest * o.last;
  return [=, low = o.three_phase ? first : last](std::int64_t step) {
    const auto t = static_cast<double>(step);
    if (t < top) return half_cosine(first, highest, t / top);
    if (t < down) return half_cosine(highest, low, (t - top) / (down - top));
    return t < end ? half_cosine(low, last, (t - down) / (end - down)) : last;
  };
}

namespace {

/// What is left of lr where the text does not say.
constexpr struct {
  std::string_view name;
  std::optional<double> left;
} kSchedules[] = {{"constant", {}}, {"step", 0.1},   {"exponential", 0.01}, {"inverse", 0.01},
                  {"linear", 0.0},  {"cosine", 0.0}, {"one-cycle", {}}};

[[noreturn]] void unknown(std::string_view text) {
  std::string known;
  for (const auto& s : kSchedules)
    known += fmt::format("{}{}{}", known.empty() ? "" : ", ", s.name, s.left ? "[:LEFT]" : "");
  throw ArgumentError(fmt::format("schedule: '{}' is not known; there are {}", text, known));
}

double left_of(std::string_view text, std::size_t colon, std::optional<double> otherwise) {
  if (colon == std::string_view::npos) return otherwise.value_or(0);
  if (!otherwise) unknown(text);
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, number);
  if (error != std::errc{} || rest != end || !(number >= 0 && number <= 1))
    throw ArgumentError(
        fmt::format("schedule: '{}': what is left of the rate is a number in [0, 1], as in {}:0.1", text,
                    text.substr(0, colon)));
  return number;
}

}  // namespace

Schedule make_schedule(std::string_view text, double lr, std::int64_t steps) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  for (const auto& s : kSchedules) {
    if (s.name != name) continue;
    const double left = left_of(text, colon, s.left);
    require_steps(name, "the number of steps", steps);
    if (name == "constant") return lr;
    if (name == "step") return step_decay(lr, (steps + 2) / 3, left);
    if (name == "exponential") return exponential_decay(lr, left, steps);
    if (name == "linear") return linear(lr, lr * left, steps);
    if (name == "cosine") return cosine(lr, steps, lr * left);
    if (name == "one-cycle") return one_cycle(lr, steps);
    require(left > 0, name, "what is left of the rate", left, "above 0");
    return inverse_time_decay(lr, (1 / left - 1) / static_cast<double>(steps));
  }
  unknown(text);
}

}  // namespace tapegrad::optim
