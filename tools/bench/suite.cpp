#include "suite.h"

#include <fmt/format.h>

#include "child.h"
#include "convolutions.h"
#include "engines.h"
#include "functions.h"
#include "losses.h"
#include "plot/chart.h"
#include "thread_workloads.h"
#include "workloads.h"

namespace tapegrad::bench {

namespace {

Entry entry_of(const Workload& w) {
  return {w.name, w.description,
          [w](const Contenders& c, const RunnerOptions& o) { return measure(w, c, o); }, false,
          static_cast<bool>(w.work)};
}

Entry memory_entry(const std::string& name, const std::string& task, const std::string& description) {
  return {name, description,
          [=](const Contenders&, const RunnerOptions&) { return measure_memory(name, task); }};
}

struct Growth {
  const char* what;
  const char* title;
  const char* x_label;
  const char* y_label;
};
constexpr Growth kGrowth[] = {
    {"nodes", "A scalar tape, forward and backward", "nodes", "ns per node"},
    {"batch", "A training step of 784-100-10 over the batch", "batch", "us per step"},
    {"width", "A training step of 784-width-10, batch 100", "width of the hidden layer", "us per step"},
    {"conv_side", "A training step of two convolutions 3x3, 32 channels, 8 images", "rows and columns",
     "us per step"},
    {"conv_channels", "A training step of two convolutions 3x3, 8 images of 32 x 32", "channels",
     "us per step"},
    {"conv_batch", "A training step of two convolutions 3x3, 32 channels of 32 x 32", "batch", "us per step"},
    {"depth", "Memory of a training step at its peak", "hidden layers of width 256, batch 100", "MB"},
};

// The two parts of a name WHAT-SIZE.
std::string what_of(const std::string& name) { return name.substr(0, name.rfind('-')); }
double size_of(const std::string& name) { return std::stod(name.substr(name.rfind('-') + 1)); }

using Lines = std::vector<std::pair<std::string, plot::Points>>;

plot::Points& line_of(Lines& lines, const std::string& name) {
  for (auto& [line, points] : lines)
    if (line == name) return points;
  return lines.emplace_back(name, plot::Points{}).second;
}

}  // namespace

std::vector<Entry> suite() {
  std::vector<Entry> all;
  for (const Workload& w : workloads()) all.push_back(entry_of(w));
  all.push_back({"startup",
                 "one step on 100 images from the start of a process: time, memory, libraries, files",
                 [](const Contenders&, const RunnerOptions& o) { return measure_startup(o); }});
  for (const char* task : {"W2", "W3", "W4b"})
    all.push_back(memory_entry(fmt::format("memory-{}", task), task,
                               fmt::format("memory of a step of {} at its peak", task)));
  for (const Workload& w : product_workloads())
    all.push_back({w.name, w.description,
                   [w](const Contenders&, const RunnerOptions& o) { return measure_engines(w, o); }, true});
  for (const Workload& w : loss_workloads())
    all.push_back({w.name, w.description,
                   [w](const Contenders&, const RunnerOptions& o) { return measure_losses(w, o); }, true});
  for (const Workload& w : function_workloads())
    all.push_back({w.name, w.description,
                   [w](const Contenders&, const RunnerOptions& o) { return measure_functions(w, o); }, true});
  for (const Workload& w : thread_workloads())
    all.push_back({w.name, w.description,
                   [w](const Contenders&, const RunnerOptions& o) { return measure_threads(w, o); }, true});
  for (const Workload& w : convolution_workloads()) {
    all.push_back(entry_of(w));
    all.back().on_demand = true;
  }
  return all;
}

std::vector<Entry> growth_suite() {
  std::vector<Entry> all;
  for (const Workload& w : growing_workloads()) all.push_back(entry_of(w));
  for (int depth = 1; depth <= 64; depth *= 2)
    all.push_back(memory_entry(fmt::format("depth-{}", depth), fmt::format("depth:{}", depth),
                               fmt::format("memory of a step with {} hidden layers of width 256", depth)));
  return all;
}

std::vector<NamedChart> growth_charts(const std::vector<std::vector<Measurement>>& by_workload) {
  std::vector<NamedChart> charts;
  for (const Growth& g : kGrowth) {
    Lines lines;
    std::size_t sizes = 0;
    for (const auto& of_workload : by_workload) {
      if (what_of(of_workload.front().workload) != g.what) continue;
      ++sizes;
      for (const Measurement& m : of_workload)
        line_of(lines, m.contender).push_back({size_of(m.workload), m.median()});
    }
    if (sizes < 2) continue;
    plot::Chart chart(g.title);
    chart.x({.label = g.x_label, .scale = plot::Scale::log})
        .y({.label = g.y_label, .scale = plot::Scale::log});
    for (auto& [name, points] : lines) chart.line(name, std::move(points), plot::kLineAndDots);
    charts.push_back({g.what, chart.draw()});
  }
  return charts;
}

}  // namespace tapegrad::bench
