#include "report_file.h"

#include <chrono>
#include <ctime>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/ops/matmul_engine.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "arguments.h"
#include "plot/weights.h"
#include "settings.h"

namespace tapegrad::cli {

namespace {

constexpr const char* kCompiler =
#ifdef __clang__
    "clang " __clang_version__;
#else
    "gcc " __VERSION__;
#endif

/// "2026-11-28 04:43 UTC".
std::string now() {
  const std::time_t time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts)};
}

std::string epoch_name(std::int64_t epoch) { return fmt::format("epoch {}", epoch); }

}  // namespace

ReportFile::ReportFile(const std::string& path, const CLI::App& command) : path_(path) {
  if (!asked_for()) return;
  for (const auto& [name, value] : settings_of(command))
    report_.settings.emplace_back(name.substr(name.find_first_not_of('-')), value);
  const nn::AtomicFile tried(path_);
}

void ReportFile::begin(const Model& model, const TrainData& data) {
  if (!asked_for()) return;
  weights_.emplace_back("initial", plot::weights_of(*model.net));
  if (!data.format) report_.filters_before = plot::first_convolution(*model.net, data.test).filters;
}

void ReportFile::add(const nn::EpochReport& e, const std::optional<nn::Score>& test) {
  if (!asked_for()) return;
  report_.history.epochs.push_back(e);
  report_.test.push_back(test.value_or(nn::Score{}));
}

void ReportFile::remember_weights(const Model& model, std::int64_t epoch) {
  if (asked_for() && epoch == 1) weights_.emplace_back(epoch_name(epoch), plot::weights_of(*model.net));
}

void ReportFile::add_facts(const Model& model, const TrainData& data, const nn::Dataset& training) {
  report_.facts = {
      {"command", command_line()},
      {"date", now()},
      {"model", model.description},
      {"parameters", fmt::format("{}", model.net->parameter_count())},
      {"data", fmt::format("{} training and {} test {}", training.size(), data.test.size(), data.items)},
      {"versions", fmt::format("tapegrad {}, {}", TAPEGRAD_VERSION, kCompiler)},
      {"matrix products", matmul_engine_description()},
      {"threads", fmt::format("{}", threads())},
  };
}

void ReportFile::examine(const Model& model, const TrainData& data) {
  if (data.units) {
    report_.predictions = plot::predict(*model.net, data.test, data.format->target_names());
    return;
  }
  if (data.format) {
    report_.classification = plot::examine(*model.net, data.test, 0, data.format->classes());
    return;
  }
  report_.classification = plot::examine(*model.net, data.test);
  report_.convolution = plot::first_convolution(*model.net, data.test);
}

void ReportFile::write(const Model& model, const TrainData& data, const nn::Dataset& training,
                       std::int64_t batch, const std::string& unfinished) {
  if (!asked_for()) return;
  report_.title = model.description;
  report_.names = {data.loss, data.metric, !data.units};
  add_facts(model, data, training);
  report_.note = unfinished;
  if (unfinished.empty()) examine(model, data);
  if (!report_.history.epochs.empty() && nn::is_finite(model.net->state())) {
    const std::string name =
        unfinished.empty() ? epoch_name(report_.history.epochs.back().epoch) : "where it stopped";
    if (weights_.back().first == name) weights_.pop_back();
    weights_.emplace_back(name, plot::weights_of(*model.net));
    report_.weights = plot::draw_weights(weights_);
  }
  report_.graph = plot::draw_step(*model.net, training, batch, data.objective);
  nn::AtomicFile file(path_);
  file.write(plot::to_html(report_));
  file.commit();
}

}  // namespace tapegrad::cli
