#include <fnmatch.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/file.h>

#include <fmt/format.h>

#include "../bench/child.h"
#include "../bench/environment.h"
#include "../bench/report.h"
#include "../bench/runner.h"
#include "commands.h"

namespace tapegrad::cli {

namespace {

using bench::Measurement;

struct BenchOptions {
  std::string filter = "*";
  bench::RunnerOptions runner;
  std::string json;
  bool list = false;
};

/// A line of the table, or several that one measurement gives.
struct Row {
  std::string name;
  std::string description;
  std::function<std::vector<Measurement>(const bench::Contenders&, const bench::RunnerOptions&)> measure;
};

std::vector<Row> rows() {
  std::vector<Row> all;
  for (const bench::Workload& w : bench::workloads())
    all.push_back({w.name, w.description, [w](const bench::Contenders& c, const bench::RunnerOptions& o) {
                     return bench::measure(w, c, o);
                   }});
  all.push_back(
      {"startup", "one step on 100 images from the start of a process: time, memory, libraries, files",
       [](const bench::Contenders&, const bench::RunnerOptions& o) { return bench::measure_startup(o); }});
  for (const char* task : {"W2", "W3"})
    all.push_back({fmt::format("memory-{}", task), fmt::format("memory of a step of {} at its peak", task),
                   [task](const bench::Contenders&, const bench::RunnerOptions&) {
                     return bench::measure_memory(fmt::format("memory-{}", task), task);
                   }});
  return all;
}

std::vector<Row> chosen_rows(const std::string& filter) {
  std::vector<Row> all = rows();
  std::erase_if(all, [&](const Row& r) { return fnmatch(filter.c_str(), r.name.c_str(), 0) != 0; });
  if (all.empty())
    throw ArgumentError(fmt::format("--filter {}: no workload has such a name; --list shows them", filter));
  return all;
}

void print(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

/// What one row measured, a group for each workload in it.
std::vector<std::vector<Measurement>> grouped(std::vector<Measurement> measured) {
  std::vector<std::vector<Measurement>> groups;
  for (Measurement& m : measured) {
    if (groups.empty() || groups.back().front().workload != m.workload) groups.emplace_back();
    groups.back().push_back(std::move(m));
  }
  return groups;
}

int run(const BenchOptions& o) {
  const std::vector<Row> chosen = chosen_rows(o.filter);
  if (o.list) {
    for (const Row& r : chosen) fmt::print("{:<18} {}\n", r.name, r.description);
    return 0;
  }
  bench::restart_with_best_environment(o.runner.threads);
  std::optional<nn::AtomicFile> json;
  try {
    if (!o.json.empty()) json.emplace(o.json);
  } catch (const FileError& e) {
    throw ArgumentError(fmt::format("--json: {}", e.what()));
  }
  for (const std::string& line : bench::environment_lines()) print(line + "\n");
  for (const std::string& line : bench::missing_contenders()) print(line + "\n");
  print(fmt::format("{} {}\n\n{}", o.runner.threads, o.runner.threads == 1 ? "thread" : "threads",
                    bench::table_head()));
  const bench::Contenders contenders = bench::make_contenders();
  std::vector<std::vector<Measurement>> measured;
  for (const Row& r : chosen)
    for (std::vector<Measurement>& group : grouped(r.measure(contenders, o.runner))) {
      print(bench::table_lines(group));
      measured.push_back(std::move(group));
    }
  if (json) {
    json->write(bench::to_json(measured, o.runner.threads));
    json->commit();
  }
  return 0;
}

}  // namespace

void add_bench_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BenchOptions>();
  BenchOptions& o = *options;
  CLI::App& c = *app.add_subcommand(
      "bench", "Measure speed and memory beside a hand-written program and other libraries");
  c.add_option("--filter", o.filter, "Workloads whose names match, as in 'W5*'")->capture_default_str();
  c.add_option("--threads", o.runner.threads, "Threads that each contender may use")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  c.add_option("--json", o.json, "File for the measurements");
  c.add_option("--runs", o.runner.runs, "Runs of each contender, in turns; default 7, 1 of W8")
      ->check(CLI::PositiveNumber);
  c.add_option("--seconds", o.runner.seconds, "Length of a run, about")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c.add_flag("--list", o.list, "Only show the workloads");
  c.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tapegrad::cli
