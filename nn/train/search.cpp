#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <set>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/nn/train/search.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/ops/loops/work_queue.h>

#include <fmt/format.h>

namespace tapegrad::nn {

double Trial::operator[](std::string_view name) const {
  for (const auto& [known, value] : values)
    if (known == name) return value;
  std::string names;
  for (const auto& [known, value] : values) names += fmt::format("{}'{}'", names.empty() ? "" : ", ", known);
  throw ArgumentError(fmt::format("trial: no hyper-parameter '{}'; there are {}", name, names));
}

namespace {

void require(const std::vector<Range>& ranges, const SearchOptions& options) {
  if (ranges.empty()) throw ArgumentError("search: no ranges given; there is nothing to look for");
  if (options.trials < 1)
    throw ArgumentError(fmt::format("search: {} trials; there must be at least one", options.trials));
  if (options.threads < 1)
    throw ArgumentError(fmt::format("search: {} threads; there must be at least one", options.threads));
  std::set<std::string_view> names;
  for (const Range& r : ranges) {
    if (r.name.empty()) throw ArgumentError("search: a range has no name");
    if (!names.insert(r.name).second)
      throw ArgumentError(fmt::format("search: two ranges are called '{}'", r.name));
    if (!std::isfinite(r.lo) || !std::isfinite(r.hi) || !(r.lo <= r.hi))
      throw ArgumentError(fmt::format("search: '{}' ranges from {} to {}; it must be finite and not empty",
                                      r.name, r.lo, r.hi));
    if (r.logarithmic && !(r.lo > 0))
      throw ArgumentError(fmt::format(
          "search: '{}' ranges from {}, which has no logarithm; start above 0, or set logarithmic to false",
          r.name, r.lo));
  }
}

Trial draw(std::int64_t number, const std::vector<Range>& ranges, std::uint64_t seed) {
  Generator generator(seed, static_cast<std::uint64_t>(number));
  Trial trial{.number = number, .seed = generator()};
  for (const Range& r : ranges) {
    const double u = generator.uniform();
    const double value =
        r.logarithmic ? std::exp(std::lerp(std::log(r.lo), std::log(r.hi), u)) : std::lerp(r.lo, r.hi, u);
    trial.values.emplace_back(r.name, std::clamp(value, r.lo, r.hi));
  }
  return trial;
}

bool better(const Trial& a, const Trial& b) {
  if (std::isnan(a.result.score) != std::isnan(b.result.score)) return std::isnan(b.result.score);
  if (a.result.score != b.result.score && !std::isnan(a.result.score)) return a.result.score > b.result.score;
  return a.number < b.number;
}

}  // namespace

std::vector<Trial> random_search(const std::vector<Range>& ranges,
                                 const Callback<TrialResult(const Trial&)>& run,
                                 const SearchOptions& options) {
  require(ranges, options);
  std::vector<Trial> trials;
  for (std::int64_t i = 0; i < options.trials; ++i) trials.push_back(draw(i, ranges, options.seed));

  std::mutex report;
  tapegrad::detail::work_on_threads(options.trials, options.threads, [&](std::int64_t i) {
    Trial& trial = trials[static_cast<std::size_t>(i)];
    try {
      trial.result = run(trial);
    } catch (const Diverged&) {
      trial.result = std::numeric_limits<double>::quiet_NaN();
    }
    if (!options.on_trial) return;
    const std::lock_guard one_at_a_time(report);
    options.on_trial(trial);
  });
  std::ranges::sort(trials, better);
  return trials;
}

}  // namespace tapegrad::nn
