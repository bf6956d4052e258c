#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/nn/distributed/agreement.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "interrupt.h"
#include "program.h"
#include "ranks.h"
#include "report_file.h"
#include "run_folder.h"
#include "saved_model.h"
#include "settings.h"
#include "train_data.h"
#include "train_options.h"

namespace tapegrad::cli {

namespace {

std::string score_text(const char* of, const nn::Score& s, const char* metric) {
  return fmt::format("  {} loss {:.4f} {} {:.4f}", of, detail::shown(s.loss), metric, s.metric);
}

/// What a run was asked for, but for the folder that it is written to.
std::vector<std::pair<std::string, std::string>> run_settings(const CLI::App& command) {
  auto settings = settings_of(command);
  std::erase_if(settings, [](const auto& setting) {
    return setting.first == kResume || setting.first == "--out" || setting.first == "--force";
  });
  return settings;
}

nn::TrainerOptions trainer_options(const TrainOptions& o, const TrainData& data, std::int64_t iterations,
                                   const CLI::App& command) {
  nn::TrainerOptions t{.iterations = iterations,
                       .batch = o.batch,
                       .drop_last = true,
                       .seed = o.seed,
                       .objective = data.objective,
                       .schedule = optim::make_schedule(o.schedule, o.lr, iterations - o.warm_up),
                       .clip_norm = o.clip,
                       .gradient_norm = !o.report.empty(),
                       .patience = o.patience};
  if (o.warm_up > 0) t.schedule = optim::warm_up(o.warm_up, t.schedule);
  if (o.plateau > 0) t.plateau = optim::ReduceOnPlateau({.patience = o.plateau});
  if (o.checkpoint_every > 0) {
    t.checkpoint_folder = RunFolder::checkpoints(o.out);
    t.checkpoint_every = o.checkpoint_every;
  }
  for (const auto& [name, value] : run_settings(command)) t.settings.emplace(name, value);
  if (data.format) t.settings.emplace(kTable, data.format->text());
  return t;
}

/// The training data, and those held out of them.
nn::Dataset::Split split_of(const TrainOptions& o, const TrainData& data) {
  const nn::Dataset& items = data.train;
  if (!(o.validation >= 0 && o.validation < 1))
    throw ArgumentError(fmt::format("--validation {}: it must be a share in [0, 1)", o.validation));
  if (o.validation == 0) return {items, {}};
  const auto held_out = std::llround(o.validation * static_cast<double>(items.size()));
  if (held_out == 0 || held_out == items.size())
    throw ArgumentError(fmt::format("--validation {}: of {} {} that is {}", o.validation, items.size(),
                                    data.items, held_out == 0 ? "none" : "all"));
  return items.split(held_out, o.seed);
}

Model model_of(const TrainOptions& o, const TrainData& data, const nn::Dataset& training) {
  Generator generator(o.seed);
  ModelOptions options = o.model;
  if (data.format && options.layers.empty() && options.takes_images())
    throw ArgumentError(fmt::format(
        "--model {}: it takes images; tables take two-layer, multi-layer or --layers", options.model));
  if (data.format)
    options.standardize = nn::input_statistics(training);
  else if (!o.standardize.empty())
    options.standardize =
        nn::input_statistics(training, o.standardize == "pixels" ? nn::StatisticsOf::each_feature
                                                                 : nn::StatisticsOf::all_features);
  Model model = build_model(options, training.input_shape(), data.outputs, generator);
  if (data.units) append_units(model, *data.units);
  return model;
}

std::int64_t iterations_of(const TrainOptions& o, const nn::Dataset& training, const char* items) {
  if (o.batch > training.size())
    throw ArgumentError(
        fmt::format("--batch {}: there are {} {} to train on; a batch can be that large at most", o.batch,
                    training.size(), items));
  const std::int64_t batches = nn::DataLoader(training, {.batch = o.batch, .drop_last = true}).size();
  std::int64_t iterations = o.iterations;
  if (iterations == 0 && __builtin_mul_overflow(o.epochs, batches, &iterations))
    throw ArgumentError(fmt::format("--epochs {}: with {} iterations each they are more than can be counted",
                                    o.epochs, batches));
  if (o.warm_up >= iterations)
    throw ArgumentError(fmt::format("--warm-up {}: there are {} iterations in all; it must end before",
                                    o.warm_up, iterations));
  return iterations;
}

/// Tells how the training ended.
void conclude(const TrainOptions& o, const nn::History& history, bool interrupted, std::int64_t steps,
              bool validated, const char* metric, const RunFolder& folder, const nn::Progress& progress) {
  if (!o.report.empty()) progress.line(fmt::format("the report is in {}", written_name(o.report)));
  if (interrupted) {
    progress.line(fmt::format("interrupted after {} iterations; parameters and history so far are in {}{}",
                              steps, folder.name(), folder.advice()));
    return;
  }
  if (history.stop_reason == nn::StopReason::early)
    progress.line(fmt::format("no better epoch for {}: ended early", o.patience));
  if (const nn::EpochReport* best = history.best(); best && validated)
    progress.line(fmt::format("the best epoch was {}{}; its parameters are in {}/best.safetensors",
                              best->epoch, score_text("validation", best->validation, metric),
                              folder.name()));
  progress.line(fmt::format("parameters and history are in {}", folder.name()));
}

/// Goes on from the checkpoint, and says from where, and what is different.
void resume(nn::Trainer& trainer, const nn::Checkpoint& checkpoint, std::int64_t iterations,
            const nn::Progress& progress) {
  const nn::Resumed resumed = trainer.resume(checkpoint);
  const std::int64_t steps = trainer.optimizer().steps();
  progress.line(fmt::format("goes on from {}, after {} epochs and {} iterations", printable(resumed.path),
                            trainer.history().epochs.size(), steps));
  for (const std::string& change : resumed.changes)
    if (!change.starts_with(fmt::format("{} is ", kTable))) progress.line("  " + printable(change));
  if (steps >= iterations)
    progress.line(
        fmt::format("  all {} iterations are done; --epochs or --iterations asks for more", iterations));
}

/// Where a rank that is not 0 says what that one says for all.
std::FILE* nowhere() {
  static std::FILE* const file = std::fopen("/dev/null", "w");
  return file ? file : stderr;
}

/// With a checkpoint: goes on from it. With ranks: as one of them, of which rank 0 alone writes files and speaks. The
/// exit code of the command.
int train(const TrainOptions& o, const CLI::App& command, const nn::Checkpoint* checkpoint,
          nn::Communicator* several) {
  nn::OneRank one;
  nn::Communicator& ranks = several ? *several : one;
  const bool root = ranks.is_root();
  // Before anything of them is used: a trainer would say what differs in its own words. How many threads a rank has is
  // its own affair.
  auto settings = run_settings(command);
  std::erase_if(settings, [](const auto& setting) { return setting.first == "--threads"; });
  settings.emplace_back(kResume, checkpoint ? "given" : "not given");
  nn::require_same(ranks, "train", settings);
  set_threads(o.threads);
  require_other_file("--report", o.report, {o.data.csv, o.data.test_csv});
  // It may be given the name of a run's weights, and would replace them.
  if (!o.report.empty()) require_extension("--report", o.report, {".html", ".htm"}, "the page is HTML");
  std::optional<nn::CsvFormat> format;
  if (checkpoint)
    if (const auto saved = checkpoint->settings.find(kTable); saved != checkpoint->settings.end())
      format = nn::CsvFormat::parse(saved->second);
  const TrainData data = load_data(o.data, o.model.takes_images(), o.seed, format);
  // The trainer compares what it is given.
  nn::require_same(ranks, "train", nn::facts_of(data.test, "the test data"));
  const nn::Dataset::Split parts = split_of(o, data);
  const bool validated = o.validation > 0;
  const Model model = model_of(o, data, parts.training);
  nn::Module& net = *model.net;
  const nn::Metadata metadata = metadata_of(command, model, data);
  const auto optimizer = optim::make_optimizer(o.optimizer, model.groups, o.lr);
  const std::int64_t iterations = iterations_of(o, parts.training, data.items);
  nn::TrainerOptions options = trainer_options(o, data, iterations, command);
  if (several) options.data_parallel = o.ranks.apply(ranks, net);
  std::FILE* const out = root ? beside(o.report) : nowhere();
  const nn::Progress progress(out);
  std::optional<RunFolder> folder;
  nn::at_root(ranks, [&] {
    folder = checkpoint ? RunFolder::resume(o.out, validated, data.metric)
                        : RunFolder::start(o.out, validated, data.metric, o.force);
  });
  // Behind the folder, in which it may lie.
  ReportFile report(root ? o.report : "", command);
  report.begin(model, data);
  const bool starts = root && !checkpoint;
  options.on_batch = [&](const nn::Trainer& trainer, const nn::BatchReport& report_of_batch) {
    if (starts && report_of_batch.iteration == 1) folder->begin();
    progress(trainer, report_of_batch);
  };
  options.interrupted = &InterruptHandler::received();
  // Nothing where a signal has come: it is not waited for.
  const auto test_score = [&] {
    return nn::evaluate_unless(&InterruptHandler::received(), ranks, net, nn::forward_of(net), data.test,
                               data.objective);
  };
  options.on_epoch = [&](nn::Trainer&, const nn::EpochReport& e) {
    const std::optional<nn::Score> test = test_score();
    progress.line(fmt::format("epoch {:3}  iteration {:6}{}{}{}  {:.1f} s", e.epoch, e.iteration,
                              score_text("train", e.training, data.metric),
                              validated ? score_text("validation", e.validation, data.metric) : "",
                              test ? score_text("test", *test, data.metric) : "", e.seconds));
    if (!root) return;
    folder->add(e, test);
    report.add(e, test);
    report.remember_weights(model, e.epoch);
    // What was saved before is worth more than weights that are no numbers.
    if (std::isfinite(e.training.loss)) folder->save("parameters.safetensors", metadata, net.state());
    if (validated && e.best) folder->save("best.safetensors", metadata, net.state());
  };
  nn::Trainer trainer(net, *optimizer, options);
  std::optional<InterruptHandler> handler(std::in_place);

  if (!data.format && o.model.takes_images())
    fmt::print(out, "{}", nn::to_string(nn::summary(net, parts.training.input_shape())));
  if (several)
    progress.line(fmt::format("{} rank{} of {} thread{}, {}", ranks.size(), ranks.size() == 1 ? "" : "s",
                              o.threads, o.threads == 1 ? "" : "s", o.ranks.describe()));
  progress.line(
      fmt::format("{}, {} parameters, {} lr {}, batch {}, {} iterations, {} training and {} test {}",
                  model.description, net.parameter_count(), o.optimizer, o.lr, o.batch, iterations,
                  parts.training.size(), data.test.size(), data.items));
  if (const std::int64_t left = parts.training.size() % o.batch)
    progress.line(fmt::format("each epoch leaves out {} {}, others each time, which fill no batch of {}",
                              left, data.items, o.batch));
  if (checkpoint) {
    resume(trainer, *checkpoint, iterations, progress);
    const std::vector<nn::EpochReport>& epochs = trainer.history().epochs;
    std::int64_t has_gone_further = 0;
    nn::at_root(ranks, [&] { has_gone_further = !folder->go_on(epochs, optimizer->steps() < iterations); });
    ranks.all_reduce(std::span(&has_gone_further, 1));
    if (has_gone_further > 0) {
      progress.line("  the run has gone further than its last checkpoint: its files stay as they are");
      return 0;
    }
    // An evaluation that a signal has ended: the weights are still those of its epoch.
    std::int64_t lacks_score = root && !epochs.empty() && !folder->test_scores().back() &&
                               epochs.back().iteration == optimizer->steps();
    ranks.all_reduce(std::span(&lacks_score, 1));
    if (lacks_score > 0)
      if (const std::optional<nn::Score> test = test_score(); test && root)
        folder->complete(epochs.back(), *test);
    if (root) {
      for (std::size_t i = 0; i < epochs.size(); ++i) report.add(epochs[i], folder->test_scores()[i]);
      // What was saved behind the checkpoint is of a training that may now be another one.
      folder->save("parameters.safetensors", metadata, net.state());
      if (validated && !trainer.best_state().empty())
        folder->save("best.safetensors", metadata, trainer.best_state());
    }
  }
  if (starts) folder->remove_checkpoints();
  const auto advice = [&] { return folder ? folder->advice() : std::string(); };
  try {
    trainer.fit(parts.training, parts.validation);
  } catch (const FileError& e) {
    throw FileError(fmt::format("after {} iterations: {}{}", optimizer->steps(), e.what(), advice()));
  } catch (const nn::Diverged& e) {
    const nn::Diverged told(fmt::format("{}{}", e.what(), advice()));
    if (root)
      report.write(model, data, parts.training, o.batch,
                   fmt::format("The training ended early. {}", told.what()));
    throw told;
  }
  // Where training has stopped without a signal here, another rank has received one.
  const bool interrupted =
      InterruptHandler::received() || trainer.history().stop_reason == nn::StopReason::stopped;
  if (interrupted && starts && optimizer->steps() == 0) folder->begin();
  if (interrupted && root && nn::is_finite(net.state()))
    folder->save("parameters.safetensors", metadata, net.state());
  // What is saved is whole: from here on, a signal ends the process.
  handler.reset();
  if (root) {
    report.write(
        model, data, parts.training, o.batch,
        interrupted ? fmt::format("The training was interrupted after {} iterations, and the test items were "
                                  "not looked at one by one{}",
                                  optimizer->steps(), advice())
                    : "");
    conclude(o, trainer.history(), interrupted, optimizer->steps(), validated, data.metric, *folder,
             progress);
  }
  // What a shell reports for a program that the signal has ended: 130 for Ctrl-C.
  return InterruptHandler::signal() ? 128 + InterruptHandler::signal() : 0;
}

/// Each process that mpirun starts trains by itself without --distributed, which is hardly meant.
void warn_of_mpirun() {
  const char* const processes = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (processes && std::string_view(processes) != "1")
    fmt::print(
        stderr,
        "tapegrad: warning: mpirun has started {} of this command, and each trains by itself; --distributed "
        "makes them ranks of one training\n",
        printable(processes));
}

/// Images for a run on images, a table for one on a table.
void require_same_kind_of_data(const DataOptions& given, const nn::Checkpoint& checkpoint) {
  const bool was_table = checkpoint.settings.contains("--csv");
  if (was_table ? given.folder.empty() : !given.is_table()) return;
  throw ArgumentError(was_table ? "--data: the run that is resumed is on a table; --csv names another one"
                                : "--csv: the run that is resumed is on images; --data names others");
}

/// The checkpoint that --resume asks for; the options then say what its run was started with.
nn::Checkpoint take_up(TrainOptions& o, CLI::App& command) {
  const std::string folder = RunFolder::checkpoints(o.resume);
  RunFolder::require_own_files(o.resume);
  if (nn::checkpoints_in(folder).empty())
    throw FileError(
        fmt::format("--resume {}: there are no checkpoints in {}; train --checkpoint-every saves them",
                    o.resume, folder));
  nn::Checkpoint checkpoint = nn::load_checkpoint(folder);
  for (const std::string& reason : checkpoint.unreadable)
    fmt::print(stderr, "tapegrad: warning: {}; it is skipped for the one before\n", printable(reason));
  // A checkpoint may be of somebody else, and names no file to be written that is not the run's own.
  std::vector<std::string_view> not_restored{"--out", "--force"};
  if (const auto report = checkpoint.settings.find("--report");
      report != checkpoint.settings.end() && !RunFolder::holds(o.resume, report->second))
    not_restored.emplace_back("--report");
  require_same_kind_of_data(o.data, checkpoint);
  restore_settings(command, checkpoint.settings, may_change(), not_restored);
  o.out = o.resume;
  return checkpoint;
}

}  // namespace

void add_train_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TrainOptions>();
  CLI::App& c = *app.add_subcommand(
      "train", "Train a network on images in MNIST's format (IDX, plain or gzip), or on a table");
  options->add_to(c);
  c.callback([options, &c, &exit_code] {
    const auto run = [&](nn::Communicator* ranks) {
      if (options->resume.empty()) return train(*options, c, nullptr, ranks);
      const nn::Checkpoint checkpoint = take_up(*options, c);
      // A run that was on ranks goes on with at least one.
      if (!ranks && options->ranks.any())
        return on_ranks([&](nn::Communicator& comm) { return train(*options, c, &checkpoint, &comm); });
      if (!ranks) warn_of_mpirun();
      return train(*options, c, &checkpoint, ranks);
    };
    if (options->resume.empty()) {
      if (options->data.folder.empty() && !options->data.is_table())
        throw CLI::RequiredError("--data or --csv");
      // A run that goes on has them already.
      for (const char* const needed : {"--target", "--task"})
        if (options->data.is_table() && c.count(needed) == 0) throw CLI::RequiresError("--csv", needed);
      if (!options->data.test_csv.empty() && !options->data.is_table())
        throw CLI::RequiresError("--test-csv", "--csv");
      if (options->out.empty()) throw CLI::RequiredError("--out");
    }
    if (!options->ranks.any() && options->resume.empty()) warn_of_mpirun();
    exit_code =
        options->ranks.any() ? on_ranks([&](nn::Communicator& ranks) { return run(&ranks); }) : run(nullptr);
  });
}

}  // namespace tapegrad::cli
