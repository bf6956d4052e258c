// A program of one contender alone: without arguments it trains the smallest network for one step on 100
// images, as a first program would; with the name of a training task it measures the memory of a step. Prints
// "name value" lines.
#include <malloc.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "contender.h"

namespace {

using namespace tapegrad::bench;

std::unique_ptr<Contender> contender() { return TAPEGRAD_BENCH_STARTUP(); }

void print(const char* name, double value) { std::printf("%s %.17g\n", name, value); }

// A line of /proc/self/status, in bytes.
double status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":")) return 1024 * std::stod(line.substr(name.size() + 1));
  return 0;
}

// The files that this process runs: itself and its libraries.
std::set<std::string> mapped_files() {
  std::ifstream file("/proc/self/maps");
  std::set<std::string> all;
  for (std::string line; std::getline(file, line);) {
    const std::size_t slash = line.find('/');
    if (slash != std::string::npos && std::filesystem::is_regular_file(line.substr(slash)))
      all.insert(line.substr(slash));
  }
  return all;
}

void start_up() {
  NetTask task = *make_net_task("startup");
  task.tune = false;
  const auto c = contender();
  c->set_threads(1);
  print("loss", c->net(std::make_shared<const NetTask>(task))->run(1).value);
  double libraries = 0;
  double bytes = 0;
  for (const std::string& path : mapped_files()) {
    libraries += path.find(".so") != std::string::npos ? 1 : 0;
    bytes += static_cast<double>(std::filesystem::file_size(path));
  }
  print("libraries", libraries);
  print("file_bytes", bytes);
  print("peak_rss", status("VmHWM"));
}

// One batch of the items, so that a contender's copy of them hardly counts.
std::shared_ptr<const Items> first_items(const Items& items, std::int64_t count) {
  auto some = std::make_shared<Items>(items);
  some->count = count;
  const auto keep = [&](auto& values, std::int64_t width) {
    if (!values.empty()) values.resize(static_cast<std::size_t>(count * width));
  };
  keep(some->pixels, items.width);
  keep(some->labels, 1);
  keep(some->inputs, items.width);
  keep(some->targets, items.target_width);
  return some;
}

void measure_memory(const std::string& name) {
  NetTask task = *make_net_task(name);
  task.tune = false;
  task.train = first_items(*task.train, task.batch);
  draw(task, 3);
  const auto c = contender();
  c->set_threads(1);
  // The same in small first, and a product that loads a BLAS: what the library itself takes, and its code, is not the
  // step's.
  NetTask small = task;
  for (ConvLayer& layer : small.convolutions) layer.channels = 2;
  if (!small.convolutions.empty())
    small.widths.front() = small.image_at(small.convolutions.size()).elements();
  for (std::size_t i = 1; i + 1 < small.widths.size(); ++i) small.widths[i] = 16;
  draw(small, 3);
  c->net(std::make_shared<const NetTask>(small))->run(3);
  if (const auto product = c->product({.m = 64, .n = 64, .k = 64})) product->run(1);
  malloc_trim(0);
  const double start = status("VmRSS");
  std::ofstream("/proc/self/clear_refs") << 5;  // sets the peak back to what there is now
  const auto shared = std::make_shared<const NetTask>(std::move(task));
  print("loss", c->net(shared)->run(3).value);
  print("step_bytes", status("VmHWM") - start);
  print("needed_bytes", static_cast<double>(shared->needed_bytes()));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    argc > 1 ? measure_memory(argv[1]) : start_up();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
