#include "runner.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

#include "median.h"

namespace tapegrad::bench {

namespace {

struct Entrant {
  Contender* contender;
  std::unique_ptr<Program> program;
  std::int64_t calls = 1;
  Result result{};
  std::vector<double> seconds{};  // of a call
};

using Clock = clockid_t;
double seconds_of(Clock clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Seconds that so many calls take; keeps their result.
double time(Entrant& e, std::int64_t calls, Clock clock) {
  const double start = seconds_of(clock);
  e.result = e.program->run(calls);
  return seconds_of(clock) - start;
}

bool agree(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));  // not so for NaN
}

void require_agreement(const Workload& w, const std::vector<Entrant>& entrants, double value_tolerance,
                       double gradient_tolerance, const char* when) {
  const Entrant& first = entrants.front();
  for (const Entrant& e : entrants)
    if (!agree(e.result.value, first.result.value, value_tolerance) ||
        !agree(e.result.gradient, first.result.gradient, gradient_tolerance))
      throw Error(
          fmt::format("{}: {} and {} have nothing to compare: {}, values are {:.7g} and {:.7g}, gradients "
                      "{:.7g} and {:.7g}",
                      w.name, first.contender->name(), e.contender->name(), when, first.result.value,
                      e.result.value, first.result.gradient, e.result.gradient));
}

// How often to call within a run, from how long the calls took so far.
void choose_calls(const Workload& w, std::vector<Entrant>& entrants, double seconds, Clock clock) {
  for (Entrant& e : entrants) {
    const double taken = time(e, w.check_calls, clock) / static_cast<double>(w.check_calls);
    e.calls = std::max<std::int64_t>(1, std::llround(seconds / std::max(taken, 1e-9)));
  }
  if (!w.trains) return;
  const auto fewer = [](const Entrant& a, const Entrant& b) { return a.calls < b.calls; };
  const std::int64_t least = std::min_element(entrants.begin(), entrants.end(), fewer)->calls;
  for (Entrant& e : entrants) e.calls = least;
}

// After thousands of steps rounding has led to other weights, and the loss of the last batch is one number of
// many: it has to be of the same size. What the weights have changed by in all says more.
constexpr double kSameCourse = 0.5;

}  // namespace

double Measurement::median() const { return median_of(runs); }
double Measurement::min() const { return *std::min_element(runs.begin(), runs.end()); }
double Measurement::max() const { return *std::max_element(runs.begin(), runs.end()); }

RunnerOptions in_short_turns(RunnerOptions options, double shorter) {
  constexpr int kTurns = 15;
  options.seconds /= shorter;
  if (options.runs == 0) options.runs = kTurns;
  return options;
}

std::vector<Measurement> measure(const Workload& w, const Contenders& contenders,
                                 const RunnerOptions& options) {
  std::vector<Entrant> entrants;
  for (const auto& c : contenders) {
    c->set_threads(options.threads);
    if (auto program = w.make(*c)) entrants.push_back({.contender = c.get(), .program = std::move(program)});
  }
  const Clock clock = w.processor_time && options.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const int runs = options.runs > 0 ? options.runs : w.whole_runs > 0 ? w.whole_runs : kRuns;
  if (w.whole_runs == 0) {
    for (Entrant& e : entrants) e.result = e.program->run(w.check_calls);
    require_agreement(w, entrants, w.tolerance, w.tolerance, "at the start");
    choose_calls(w, entrants, options.seconds, clock);
  }
  for (int run = 0; run < runs; ++run)
    for (Entrant& e : entrants) {
      if (w.whole_runs > 0 && run > 0) e.program = w.make(*e.contender);
      e.seconds.push_back(time(e, e.calls, clock) / static_cast<double>(e.calls));
    }
  if (w.trains)
    require_agreement(w, entrants, kSameCourse, w.drift, "at the end");
  else
    require_agreement(w, entrants, w.tolerance, w.tolerance, "at the end");

  std::vector<Measurement> all;
  for (const Entrant& e : entrants) {
    Measurement m{w.name, e.contender->name(), w.metric, {}};
    for (const double seconds : e.seconds)
      m.runs.push_back(w.metric.higher_is_better ? w.per_call / seconds
                                                 : seconds * w.metric.scale / w.per_call);
    if (w.work) m.per_second = w.work() * (1 / median_of(e.seconds));
    all.push_back(std::move(m));
  }
  return all;
}

}  // namespace tapegrad::bench
