#include <mpi.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/distributed/mpi/run_with_mpi.h>
#include <tapegrad/nn/io/file.h>

#include <fmt/format.h>

#include "cli/program.h"
#include "measurement_report.h"
#include "prediction.h"
#include "ranks_runner.h"

namespace tapegrad::bench {

namespace {

struct Options {
  RanksOptions measured;
  std::string json;
  std::vector<std::string> files;
  std::string svg;
};

void print(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

void write_file(const std::string& path, const std::string& text) {
  nn::AtomicFile file(path);
  file.write(text);
  file.commit();
}

RanksMeasurement read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  // Of a folder, which can be opened, nothing can be read.
  if (!file || !(text << file.rdbuf())) throw FileError(fmt::format("cannot read '{}'", path));
  try {
    return measurement_from_json(text.str());
  } catch (const ArgumentError& e) {
    throw FileError(fmt::format("'{}': {}", path, e.what()));
  }
}

/// MPI's own barriers poll, and take the processor from a rank that works.
void rest() {
  MPI_Request request;
  int done = 0;
  MPI_Ibarrier(MPI_COMM_WORLD, &request);
  for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); !done; MPI_Test(&request, &done, MPI_STATUS_IGNORE))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

int measure(const Options& o) {
  return nn::run_with_mpi([&](nn::Communicator& communicator) {
    const bool speaks = communicator.is_root();
    if (speaks && !o.json.empty()) const nn::AtomicFile can_be_written(o.json);
    const RanksMeasurement m = measure_ranks(communicator, o.measured, rest, [&](const std::string& line) {
      if (speaks) print(fmt::format("measuring: {}\n", line));
    });
    if (!speaks) return 0;
    print(report(m));
    if (!o.json.empty()) write_file(o.json, to_json(m));
    return 0;
  });
}

int predict(const Options& o) {
  std::vector<RanksMeasurement> measurements;
  for (const std::string& path : o.files) measurements.push_back(read(path));
  const Prediction prediction = predict(measurements);
  print(prediction.text);
  for (const auto& [name, picture] : prediction.charts)
    if (!o.svg.empty()) plot::save((std::filesystem::path(o.svg) / (name + ".svg")).string(), picture);
  return 0;
}

}  // namespace
}  // namespace tapegrad::bench

/// mpirun -n 2 tapegrad_ranks_bench measures; with --model it fits the cost model to files of measurements.
int main(int argc, char** argv) {
  using namespace tapegrad::bench;
  Options o;
  int exit_code = 0;
  CLI::App app("Measures training on ranks, and fits a model of its costs.", "tapegrad_ranks_bench");
  app.add_option("--tasks", o.measured.tasks, "Training tasks of the benchmark")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--seconds", o.measured.seconds, "Length of a task's measurement, about")
      ->check(CLI::Range(1e-3, 3600.0))
      ->capture_default_str();
  app.add_option("--rounds", o.measured.rounds, "Runs of each setup, in turns")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--most-floats", o.measured.most_floats, "In a row of the table of collectives")
      ->check(CLI::Range(std::int64_t{4}, std::int64_t{1} << 28))
      ->capture_default_str();
  app.add_option("--json", o.json, "File for the measurement")->transform(tapegrad::cli::file_to_write());
  CLI::Option* model = app.add_option(
      "--model", o.files, "Files of measurements on different numbers of ranks, to fit the model to");
  for (CLI::Option* const measuring : app.get_options(
           [&](const CLI::Option* option) { return option != model && option != app.get_help_ptr(); }))
    model->excludes(measuring);
  app.add_option("--svg", o.svg, "Folder for charts of what it predicts")->needs(model);
  app.callback([&] { exit_code = o.files.empty() ? measure(o) : predict(o); });
  return tapegrad::cli::run_program(app, argc, argv, exit_code);
}
