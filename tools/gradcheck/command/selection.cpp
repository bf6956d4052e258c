#include <algorithm>
#include <cctype>
#include <numeric>
#include <optional>
#include <utility>

#include <tapegrad/gradcheck/check/glob.h>
#include <tapegrad/gradcheck/command/selection.h>
#include <tapegrad/nn/io/text.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck {

using nn::files::number_in;

Shard parse_shard(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto index = number_in<int>(text.substr(0, slash));
  const auto count = slash == text.npos ? std::nullopt : number_in<int>(text.substr(slash + 1));
  if (!index || !count || *index < 1 || *index > *count)
    throw ArgumentError(
        fmt::format("--shard '{}' is no part; give i/n with i from 1 to n, such as 1/3, 2/3 and 3/3", text));
  return {*index, *count};
}

namespace detail {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// How many letters have to be inserted, removed or exchanged.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::vector<Job> all_of(const Catalog& catalog, bool ops, bool modules) {
  std::vector<Job> jobs;
  if (ops)
    for (const Catalog::Op& op : catalog.ops()) jobs.push_back({.op = &op});
  if (modules)
    for (const Catalog::Module& m : catalog.modules()) jobs.push_back({.module = &m});
  return jobs;
}

/// "; close to it: ..." or nothing. Names of the kind that was asked for come first.
std::string close_names(const Catalog& catalog, std::string_view kind, const std::string& pattern) {
  std::string letters = lower(pattern);
  std::erase_if(letters, [](char c) { return c == '*' || c == '?' || c == '[' || c == ']'; });
  std::vector<std::pair<std::size_t, std::string>> close;
  for (const Job& job : all_of(catalog, true, true)) {
    const std::string name = lower(job.name());
    // A module is "nn.Affine", and often asked for as "affine".
    const std::size_t dot = name.rfind('.');
    const std::size_t apart =
        std::min(distance(letters, name), distance(letters, name.substr(dot == name.npos ? 0 : dot + 1)));
    const bool part = letters.size() >= 3 && name.find(letters) != name.npos;
    if (part || apart <= std::clamp<std::size_t>(letters.size() / 2, 1, 3))
      close.emplace_back(part ? 0 : apart, job.name());
    else
      continue;
    if (kind == (job.op ? "module" : "op")) {
      close.back().first += pattern.size();
      close.back().second += job.op ? " (an op)" : " (a module)";
    }
  }
  std::ranges::stable_sort(close, {}, &std::pair<std::size_t, std::string>::first);
  if (close.size() > 3) close.resize(3);
  std::string text;
  for (const auto& [apart, name] : close) text += (text.empty() ? "; close to it: " : ", ") + name;
  return text;
}

[[noreturn]] void matches_nothing(const Catalog& catalog, std::string_view kind, const std::string& pattern) {
  throw ArgumentError(fmt::format("no {} matches '{}'{}; --list names all", kind, pattern,
                                  close_names(catalog, kind, pattern)));
}
/// The pattern is of names of the other kind.
[[noreturn]] void matches_other_kind(const Job& job, std::string_view kind, const std::string& pattern) {
  throw ArgumentError(fmt::format("no {0} matches '{1}'; {2} is {3}: give --{4} '{1}'", kind, pattern,
                                  job.name(), job.op ? "an op" : "a module", job.op ? "op" : "module"));
}

void require_matches(const Catalog& catalog, std::string_view kind, const std::vector<Job>& among,
                     const std::vector<std::string>& patterns) {
  for (const std::string& p : patterns)
    if (const auto matched = [&](const Job& j) { return matches(j.name(), p); };
        std::ranges::none_of(among, matched)) {
      const std::vector<Job> all = all_of(catalog, true, true);
      if (const auto other = std::ranges::find_if(all, matched); other != all.end())
        matches_other_kind(*other, kind, p);
      matches_nothing(catalog, kind, p);
    }
}

}  // namespace

SampleName parse_sample(std::string_view text, std::uint64_t seed) {
  const std::size_t hash = text.rfind('#');
  const std::size_t colon = hash == text.npos ? text.npos : text.find(':', hash);
  const auto sample =
      hash == text.npos ? std::nullopt : number_in<std::size_t>(text.substr(hash + 1, colon - hash - 1));
  std::optional<std::uint64_t> own = seed;
  if (colon != text.npos) {
    constexpr std::string_view kSeed = "seed=";
    const std::string_view rest = text.substr(colon + 1);
    own = rest.starts_with(kSeed) ? number_in<std::uint64_t>(rest.substr(kSeed.size())) : std::nullopt;
  }
  if (!sample || !own || hash == 0)
    throw ArgumentError(fmt::format(
        "--repro '{}' names no sample; it is NAME#NUMBER or NAME#NUMBER:seed=SEED, as a failure prints it",
        text));
  return {std::string(text.substr(0, hash)), *sample, *own};
}

std::vector<Job> selected(const Catalog& catalog, const CommandOptions& options) {
  if (options.ops.empty() && options.modules.empty()) return all_of(catalog, true, true);
  require_matches(catalog, "op", all_of(catalog, true, false), options.ops);
  require_matches(catalog, "module", all_of(catalog, false, true), options.modules);
  std::vector<Job> jobs = all_of(catalog, true, true);
  std::erase_if(jobs, [&](const Job& j) {
    return std::ranges::none_of(j.op ? options.ops : options.modules,
                                [&](const std::string& p) { return matches(j.name(), p); });
  });
  return jobs;
}

Job named(const Catalog& catalog, const std::string& name) {
  for (const Job& job : all_of(catalog, true, true))
    if (job.name() == name) return job;
  matches_nothing(catalog, "op or module", name);
}

std::vector<Job> part_of(const std::vector<Job>& jobs, const Shard& shard) {
  std::vector<Job> part;
  for (std::size_t i = 0; i < jobs.size(); ++i)
    if (shard.has(i)) part.push_back(jobs[i]);
  return part;
}

}  // namespace detail
}  // namespace tapegrad::gradcheck
