#include "child.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <string_view>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

extern char** environ;

namespace tapegrad::bench {

namespace {

constexpr double kMega = 1e6;
constexpr const char* kPrograms[] = {
    "tapegrad",
#ifdef TAPEGRAD_BENCH_LIBTORCH
    "libtorch",
#endif
};

struct Outcome {
  double seconds = 0;
  std::map<std::string, double> values;
};

// Without the settings of malloc that are good for speed and cost memory.
std::vector<char*> plain_environment() {
  std::vector<char*> variables;
  for (char** v = environ; *v; ++v)
    if (!std::string_view(*v).starts_with("MALLOC_")) variables.push_back(*v);
  variables.push_back(nullptr);
  return variables;
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

std::map<std::string, double> parse(const std::string& text) {
  std::map<std::string, double> values;
  std::size_t from = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos;
       from = end + 1, end = text.find('\n', from)) {
    const std::string line = text.substr(from, end - from);
    const std::size_t space = line.find(' ');
    if (space != std::string::npos) values[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  return values;
}

Outcome run(const std::string& program, const std::string& argument) {
  int ends[2];
  if (pipe(ends) != 0) throw Error(fmt::format("{}: no pipe: {}", program, std::strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  std::string name = program;
  std::string text = argument;
  char* const argv[] = {name.data(), text.empty() ? nullptr : text.data(), nullptr};
  std::vector<char*> variables = plain_environment();
  Outcome outcome;
  pid_t child = 0;
  const auto start = std::chrono::steady_clock::now();
  const int error = posix_spawn(&child, program.c_str(), &actions, nullptr, argv, variables.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  const std::string output = error == 0 ? read_all(ends[0]) : "";
  close(ends[0]);
  if (error != 0) throw Error(fmt::format("{}: cannot be started: {}", program, std::strerror(error)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(fmt::format("{} {}: it failed", program, argument));
  outcome.values = parse(output);
  return outcome;
}

struct Child {
  std::string contender;
  std::string path;
};

std::vector<Child> children() {
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::vector<Child> all;
  for (const char* name : kPrograms) {
    const std::filesystem::path path = folder / fmt::format("bench_startup_{}", name);
    if (std::filesystem::exists(path)) all.push_back({name, path.string()});
  }
  return all;
}

// Of the losses, relative: rounding grows with each of up to 64 layers.
constexpr double kTolerance = 5e-3;

void require_equal_losses(const std::string& workload, const std::vector<Outcome>& outcomes) {
  for (const Outcome& o : outcomes) {
    const double first = outcomes.front().values.at("loss");
    const double loss = o.values.at("loss");
    if (!(std::abs(loss - first) <= kTolerance * std::abs(first)))
      throw Error(fmt::format("{}: the programs have nothing to compare: their losses are {} and {}",
                              workload, first, loss));
  }
}

}  // namespace

std::vector<Measurement> measure_startup(const RunnerOptions& options) {
  const std::vector<Child> all = children();
  const int runs = options.runs > 0 ? options.runs : kRuns;
  std::vector<Measurement> times, memory, libraries, sizes;
  for (const Child& c : all) {
    times.push_back({"startup", c.contender, {"time", "s"}, {}, 1});
    memory.push_back({"startup-memory", c.contender, {"peak_rss", "MB"}, {}, 1});
    libraries.push_back({"startup-libraries", c.contender, {"shared_libraries", "files"}, {}, 1});
    sizes.push_back({"startup-size", c.contender, {"program_and_libraries", "MB"}, {}, 1});
  }
  for (int i = 0; i < runs; ++i) {
    std::vector<Outcome> outcomes;
    for (std::size_t k = 0; k < all.size(); ++k) {
      const Outcome o = run(all[k].path, "");
      times[k].runs.push_back(o.seconds);
      memory[k].runs.push_back(o.values.at("peak_rss") / kMega);
      libraries[k].runs.push_back(o.values.at("libraries"));
      sizes[k].runs.push_back(o.values.at("file_bytes") / kMega);
      outcomes.push_back(o);
    }
    require_equal_losses("startup", outcomes);
  }
  for (auto* part : {&memory, &libraries, &sizes}) times.insert(times.end(), part->begin(), part->end());
  return times;
}

std::vector<Measurement> measure_memory(const std::string& workload, const std::string& task) {
  std::vector<Measurement> measured;
  std::vector<Outcome> outcomes;
  for (const Child& c : children()) {
    const Outcome o = run(c.path, task);
    measured.push_back(
        {workload, c.contender, {"peak_memory", "MB"}, {o.values.at("step_bytes") / kMega}, 1});
    outcomes.push_back(o);
  }
  if (outcomes.empty()) return measured;
  require_equal_losses(workload, outcomes);
  measured.push_back(
      {workload, "needed", {"peak_memory", "MB"}, {outcomes.front().values.at("needed_bytes") / kMega}, 1});
  return measured;
}

}  // namespace tapegrad::bench
