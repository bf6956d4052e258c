#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>

#include <fmt/format.h>

#include "../cli/program.h"
#include "environment.h"
#include "report.h"
#include "suite.h"

namespace tapegrad::bench {

namespace {

constexpr const char* kAll = "*";

struct BenchOptions {
  std::string filter = kAll;
  RunnerOptions runner;
  std::string json;
  bool list = false;
  bool grow = false;
  std::string svg;
};

std::vector<Entry> selected_entries(const BenchOptions& o) {
  std::vector<Entry> all = o.grow ? growth_suite() : suite();
  std::erase_if(all, [&](const Entry& e) {
    return fnmatch(o.filter.c_str(), e.name.c_str(), 0) != 0 || (e.on_demand && o.filter == kAll);
  });
  if (all.empty())
    throw ArgumentError(fmt::format("--filter {}: no workload has such a name; --list shows them", o.filter));
  return all;
}

void print(std::FILE* say, const std::string& text) {
  fmt::print(say, "{}", text);
  std::fflush(say);
}

/// What one entry measured, a group for each workload in it.
std::vector<std::vector<Measurement>> grouped(std::vector<Measurement> measured) {
  std::vector<std::vector<Measurement>> groups;
  for (Measurement& m : measured) {
    if (groups.empty() || groups.back().front().workload != m.workload) groups.emplace_back();
    groups.back().push_back(std::move(m));
  }
  return groups;
}

void write_file(const std::string& path, const std::string& text) {
  nn::AtomicFile file(path);
  file.write(text);
  file.commit();
}

void require_writable(const std::string& path) {
  try {
    const nn::AtomicFile tried(path);
  } catch (const FileError& e) {
    throw ArgumentError(fmt::format("--json: {}", e.what()));
  }
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error || access(path.c_str(), W_OK) != 0)
    throw ArgumentError(fmt::format("--svg {}: cannot make this folder or write into it", path));
}

int run(const BenchOptions& o) {
  const std::vector<Entry> selected = selected_entries(o);
  if (o.list) {
    for (const Entry& e : selected) fmt::print("{:<18} {}\n", e.name, e.description);
    return 0;
  }
  restart_with_best_environment(o.runner.threads);
  std::FILE* const say = cli::beside(o.json);
  // Whether the files can be written is found out before the measurements.
  if (!o.json.empty()) require_writable(o.json);
  if (!o.svg.empty()) make_folder(o.svg);
  for (const std::string& line : environment_lines()) print(say, line + "\n");
  for (const std::string& line : missing_contenders()) print(say, line + "\n");
  print(say, fmt::format("{} {}\n", o.runner.threads, o.runner.threads == 1 ? "thread" : "threads"));
  const Contenders contenders = make_contenders();
  std::vector<std::vector<Measurement>> measured;
  MachineLimits machine;
  std::string head;
  const auto report = [&](std::vector<Measurement> all) {
    for (std::vector<Measurement>& group : grouped(std::move(all))) {
      if (const std::string next = table_head(group); next != head) print(say, "\n" + (head = next));
      print(say, table_lines(group, machine));
      measured.push_back(std::move(group));
    }
  };
  if (std::ranges::any_of(selected, &Entry::counted)) {
    const std::vector<Measurement> limits = measure_machine(o.runner);
    machine = limits_of(limits);
    report(limits);
  }
  for (const Entry& e : selected) {
    std::vector<Measurement> all = e.measure(contenders, o.runner);
    if (all.empty())
      print(say, fmt::format("{}: left out, bench_startup_tapegrad is not beside this program\n", e.name));
    report(std::move(all));
  }
  print(say, engines_summary(measured) + threads_summary(measured));
  if (!o.json.empty()) write_file(o.json, to_json(measured, o.runner.threads, machine));
  if (!o.svg.empty())
    for (const NamedChart& c : growth_charts(measured))
      plot::save((std::filesystem::path(o.svg) / (c.name + ".svg")).string(), c.picture);
  return 0;
}

}  // namespace
}  // namespace tapegrad::bench

/// What `tapegrad bench` runs: a program of its own, so that the command depends on no contender.
int main(int argc, char** argv) {
  tapegrad::bench::BenchOptions o;
  int exit_code = 0;
  CLI::App app("Measures speed and memory beside a hand-written program and other libraries.",
               "tapegrad bench");
  app.add_option("--filter", o.filter,
                 "Workloads whose names match, as in 'W5*'; 'gemm*' compares the "
                 "engines of matrix products, 'conv-*' measures single convolutions, 'losses*' losses of "
                 "the library beside the same as maps, 'functions*' elementary functions by instruction set, "
                 "'threads*' one thread beside several")
      ->capture_default_str();
  app.add_option("--threads", o.runner.threads, "Threads that each contender may use")
      ->check(tapegrad::cli::number_of_threads())
      ->capture_default_str();
  app.add_option("--json", o.json, "File for the measurements; - is the standard output")
      ->transform(tapegrad::cli::file_to_write());
  app.add_option("--runs", o.runner.runs, "Runs of each contender, in turns; default 7, 1 of W8")
      ->check(CLI::Range(1, 1000));
  app.add_option("--seconds", o.runner.seconds, "Length of a run, about")
      ->check(CLI::Range(1e-6, 3600.0))
      ->capture_default_str();
  app.add_flag("--list", o.list, "Only show the workloads");
  CLI::Option* grow = app.add_flag(
      "--grow", o.grow, "Measure at growing sizes instead: nodes, batch, width, depth, convolutions");
  app.add_option("--svg", o.svg, "Folder for charts of what grows")->needs(grow);
  app.callback([&] { exit_code = run(o); });
  return tapegrad::cli::run_program(app, argc, argv, exit_code);
}
