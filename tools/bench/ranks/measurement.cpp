#include "measurement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "../median.h"

namespace tapegrad::bench {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> kPartners{"one rank", "all ranks", "no exchange", "delayed"};
constexpr std::array<std::string_view, 3> kSummings{"plain", "strict", "fast"};
constexpr std::array<std::string_view, 4> kKinds{"all_reduce", "ordered_sum", "gather", "broadcast"};

[[noreturn]] void refuse(const std::string& why) {
  throw ArgumentError(fmt::format("ranks: this is no measurement as --json writes it: {}", why));
}

/// What something took: above 0, for speeds are its reciprocals.
double seconds_in(const Json& number) {
  const auto seconds = number.get<double>();
  if (!(seconds > 0) || !std::isfinite(seconds)) refuse(fmt::format("nothing takes {} s", seconds));
  return seconds;
}

template <class E, std::size_t N>
E named(const std::array<std::string_view, N>& names, const Json& name) {
  const auto found = std::ranges::find(names, name.get<std::string>());
  if (found == names.end()) refuse(fmt::format("'{}' is not known", name.get<std::string>()));
  return static_cast<E>(found - names.begin());
}
template <class E, std::size_t N>
std::string name_in(const std::array<std::string_view, N>& names, E value) {
  return std::string(names[static_cast<std::size_t>(value)]);
}

Json json_of(const StepProfile& profile) {
  Json collectives = Json::array();
  for (const Collective& c : profile.collectives)
    collectives.push_back(
        {{"kind", name_in(kKinds, c.kind)}, {"bytes", c.bytes}, {"at", c.at}, {"blocks", c.blocks}});
  return {{"seconds", profile.seconds}, {"collectives", collectives}};
}

StepProfile profile_of(const Json& j) {
  StepProfile profile{.seconds = j.at("seconds").get<double>()};
  for (const Json& c : j.at("collectives"))
    profile.collectives.push_back({named<CollectiveKind>(kKinds, c.at("kind")), c.at("bytes").get<double>(),
                                   c.at("at").get<double>(), c.at("blocks").get<bool>()});
  if (!profile.collectives.empty()) seconds_in(j.at("seconds"));
  return profile;
}

Json json_of(const StepTimes& s) {
  return {{"partners", name_in(kPartners, s.setup.partners)},
          {"summing", name_in(kSummings, s.setup.summing)},
          {"micro_batches", s.setup.micro_batches},
          {"overlap", s.setup.overlap},
          {"threads", s.setup.threads},
          {"updates_per_second", 1 / s.median()},
          {"seconds", s.runs}};
}

StepTimes step_times_of(const Json& j) {
  StepTimes s{
      {named<Partners>(kPartners, j.at("partners")), named<Summing>(kSummings, j.at("summing")),
       j.at("micro_batches").get<std::int64_t>(), j.at("overlap").get<bool>(), j.at("threads").get<int>()},
      {}};
  for (const Json& run : j.at("seconds")) s.runs.push_back(seconds_in(run));
  if (s.runs.empty()) refuse(fmt::format("'{}' has no seconds", describe(s.setup)));
  return s;
}

Json json_of(const TaskMeasurement& t) {
  Json steps = Json::array(), computation = Json::array();
  for (const StepTimes& s : t.steps) steps.push_back(json_of(s));
  for (const ComputationTime& c : t.computation)
    computation.push_back({{"items", c.items}, {"seconds", c.seconds}});
  return {{"name", t.name},
          {"batch", t.batch},
          {"parameters", t.parameters},
          {"steps", steps},
          {"strict", json_of(t.strict)},
          {"fast", json_of(t.fast)},
          {"computation", computation}};
}

TaskMeasurement task_of(const Json& j) {
  TaskMeasurement t{.name = j.at("name").get<std::string>(),
                    .batch = j.at("batch").get<std::int64_t>(),
                    .parameters = j.at("parameters").get<std::int64_t>(),
                    .strict = profile_of(j.at("strict")),
                    .fast = profile_of(j.at("fast"))};
  for (const Json& s : j.at("steps")) t.steps.push_back(step_times_of(s));
  for (const Json& c : j.at("computation"))
    t.computation.push_back({c.at("items").get<double>(), seconds_in(c.at("seconds"))});
  return t;
}

}  // namespace

std::string describe(const StepSetup& setup) {
  std::string text = name_in(kPartners, setup.partners);
  if (setup.threads > 1) text += fmt::format(" of {} threads", setup.threads);
  if (setup.summing == Summing::plain) return text;
  text += fmt::format(", {}", name_in(kSummings, setup.summing));
  if (setup.summing == Summing::strict) text += fmt::format(", {} micro-batches", setup.micro_batches);
  return setup.overlap ? text + ", overlap" : text;
}

double StepTimes::median() const { return median_of(runs); }

double TaskMeasurement::seconds(const StepSetup& setup) const {
  const auto found = std::ranges::find(steps, setup, &StepTimes::setup);
  if (found == steps.end())
    throw ArgumentError(fmt::format("ranks: {} was not measured with {}", name, describe(setup)));
  return found->median();
}

std::string to_json(const RanksMeasurement& m) {
  Json collectives = Json::array(), tasks = Json::array();
  for (const CollectiveTime& c : m.collectives)
    collectives.push_back({{"kind", name_in(kKinds, c.kind)}, {"bytes", c.bytes}, {"seconds", c.seconds}});
  for (const TaskMeasurement& t : m.tasks) tasks.push_back(json_of(t));
  return Json{{"ranks", m.ranks}, {"delay", m.delay}, {"collectives", collectives}, {"tasks", tasks}}.dump(
             1) +
         "\n";
}

RanksMeasurement measurement_from_json(const std::string& text) {
  try {
    const Json j = Json::parse(text);
    RanksMeasurement m{.ranks = j.at("ranks").get<int>(), .delay = j.at("delay").get<double>()};
    if (m.ranks < 1) refuse(fmt::format("there are no {} ranks", m.ranks));
    for (const Json& c : j.at("collectives"))
      m.collectives.push_back({named<CollectiveKind>(kKinds, c.at("kind")), c.at("bytes").get<double>(),
                               m.ranks, seconds_in(c.at("seconds"))});
    for (const Json& t : j.at("tasks")) m.tasks.push_back(task_of(t));
    return m;
  } catch (const nlohmann::json::exception& e) {
    refuse(e.what());
  }
}

}  // namespace tapegrad::bench
