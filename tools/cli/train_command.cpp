#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

#include <tapegrad/nn/io/file.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "models.h"
#include "plot/report.h"
#include "program.h"

namespace tapegrad::cli {

namespace {

struct TrainOptions {
  std::string data;
  ModelOptions model;
  std::string optimizer = "sgd";
  double lr = 0.1;
  std::int64_t batch = 100;
  std::int64_t epochs = 17;
  std::int64_t iterations = 0;  ///< 0: as many as the epochs hold
  std::string schedule = "constant";
  std::int64_t warm_up = 0;
  std::int64_t plateau = 0;
  double clip = 0;
  double validation = 0;
  std::int64_t patience = 0;
  std::uint64_t seed = 0;
  int threads = 1;
  std::string standardize;  ///< empty: not
  std::string out;
  std::string report;
};

volatile std::sig_atomic_t interrupted = 0;

/// While it lives, Ctrl-C asks the training to stop; a second one ends the process at once.
class InterruptHandler {
 public:
  InterruptHandler() {
    struct sigaction action = {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptHandler() { sigaction(SIGINT, &before_, nullptr); }
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;

 private:
  struct sigaction before_ = {};
};

/// Where a run leaves its history and its parameters. Whether the folder can be written is found out before
/// training.
class RunFolder {
 public:
  RunFolder(const std::string& path, bool validated) : path_(path), validated_(validated) {
    if (validated_) history_ += ",validation_loss,validation_accuracy";
    history_ += '\n';
    std::error_code error;
    std::filesystem::create_directories(path_, error);
    if (error) throw FileError(fmt::format("--out {}: cannot make the folder: {}", path, error.message()));
    write_history();
  }
  void add(const nn::EpochReport& e, const nn::Score& test) {
    history_ += fmt::format("{},{},{:.6f},{:.6f},{:.6f},{:.6f}", e.epoch, e.iteration, e.training.loss,
                            e.training.metric, test.loss, test.metric);
    history_ += validated_ ? fmt::format(",{:.6f},{:.6f}\n", e.validation.loss, e.validation.metric) : "\n";
    write_history();
  }
  void save(const char* file, const Model& model) {
    nn::save_state((path_ / file).string(), model.net->state(), {{"model", model.description}});
  }
  std::string name() const { return path_.string(); }

 private:
  void write_history() {
    nn::AtomicFile file((path_ / "history.csv").string());
    file.write(history_);
    file.commit();
  }
  std::filesystem::path path_;
  bool validated_;
  std::string history_ = "epoch,iteration,train_loss,train_accuracy,test_loss,test_accuracy";
};

std::string score_text(const char* of, const nn::Score& s) {
  return fmt::format("  {} loss {:.4f} accuracy {:.4f}", of, s.loss, s.metric);
}

nn::TrainerOptions trainer_options(const TrainOptions& o, std::int64_t iterations) {
  nn::TrainerOptions t{.iterations = iterations,
                       .batch = o.batch,
                       .drop_last = true,
                       .seed = o.seed,
                       .schedule = optim::make_schedule(o.schedule, o.lr, iterations - o.warm_up),
                       .clip_norm = o.clip,
                       .patience = o.patience};
  if (o.warm_up > 0) t.schedule = optim::warm_up(o.warm_up, t.schedule);
  if (o.plateau > 0) t.plateau = optim::ReduceOnPlateau({.patience = o.plateau});
  return t;
}

/// Writes the page that --report asks for. Whether it can be written is found out before training.
class ReportFile {
 public:
  ReportFile(const std::string& path, std::vector<std::pair<std::string, std::string>> settings)
      : path_(path) {
    if (path_.empty()) return;
    report_.settings = std::move(settings);
    const nn::AtomicFile tried(path_);
  }
  /// What training will change.
  void begin(const Model& model, const nn::Mnist& data) {
    if (!path_.empty()) report_.filters_before = plot::first_convolution(*model.net, data.test).filters;
  }
  void add(const nn::EpochReport& e, const nn::Score& test) {
    report_.history.push_back({e.epoch, e.iteration, e.training, test, e.validation});
  }
  void write(const Model& model, const nn::Mnist& data, std::int64_t batch) {
    if (path_.empty()) return;
    report_.title = model.description;
    plot::examine(report_, *model.net, data.test);
    report_.convolution = plot::first_convolution(*model.net, data.test);
    report_.graph = plot::draw_step(*model.net, data.train, batch);
    nn::AtomicFile file(path_);
    file.write(plot::to_html(report_));
    file.commit();
  }

 private:
  std::string path_;
  plot::TrainingReport report_;
};

/// All that the command was told, and what it took where nothing was said.
std::vector<std::pair<std::string, std::string>> settings_of(const CLI::App& command) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const CLI::Option* option : command.get_options()) {
    const auto given = [](const CLI::Option* other) { return other->count() > 0; };
    const auto excluded = option->get_excludes();
    if (std::any_of(excluded.begin(), excluded.end(), given)) continue;
    const std::string value = option->count() > 0 ? fmt::format("{}", fmt::join(option->results(), " "))
                                                  : option->get_default_str();
    if (!value.empty()) settings.emplace_back(option->get_single_name(), value);
  }
  return settings;
}

/// The training images, and those held out of them.
nn::Dataset::Split split_of(const TrainOptions& o, const nn::Dataset& images) {
  if (!(o.validation >= 0 && o.validation < 1))
    throw ArgumentError(fmt::format("--validation {}: it must be a share in [0, 1)", o.validation));
  if (o.validation == 0) return {images, {}};
  const auto held_out = std::llround(o.validation * static_cast<double>(images.size()));
  if (held_out == 0 || held_out == images.size())
    throw ArgumentError(fmt::format("--validation {}: of {} images that is {}", o.validation, images.size(),
                                    held_out == 0 ? "none" : "all"));
  return images.split(held_out, o.seed);
}

Model model_of(const TrainOptions& o, const nn::Dataset& training) {
  Generator generator(o.seed);
  ModelOptions options = o.model;
  if (!o.standardize.empty())
    options.standardize =
        nn::input_statistics(training, o.standardize == "pixels" ? nn::StatisticsOf::each_feature
                                                                 : nn::StatisticsOf::all_features);
  return build_model(options, training.input_shape(), training.classes(), generator);
}

std::int64_t iterations_of(const TrainOptions& o, const nn::Dataset& training) {
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

/// Tells how the training ended; the exit code of the command.
int conclude(const TrainOptions& o, const nn::History& history, std::int64_t steps, bool validated,
             const RunFolder& folder, const nn::Progress& progress) {
  if (!o.report.empty()) progress.line(fmt::format("the report is {}", o.report));
  if (interrupted) {
    progress.line(fmt::format("interrupted after {} iterations; parameters and history so far are in {}",
                              steps, folder.name()));
    return 130;  // what a shell reports for a program ended by Ctrl-C
  }
  if (history.stop_reason == nn::StopReason::early)
    progress.line(fmt::format("no better epoch for {}: ended early", o.patience));
  if (const nn::EpochReport* best = history.best(); best && validated)
    progress.line(fmt::format("the best epoch was {}{}; its parameters are in {}/best.safetensors",
                              best->epoch, score_text("validation", best->validation), folder.name()));
  progress.line(fmt::format("parameters and history are in {}", folder.name()));
  return 0;
}

int train(const TrainOptions& o, const CLI::App& command) {
  set_threads(o.threads);
  const nn::Mnist data = nn::load_mnist(o.data, {.flatten = !o.model.takes_images()});
  const nn::Dataset::Split parts = split_of(o, data.train);
  const bool validated = o.validation > 0;
  const Model model = model_of(o, parts.training);
  nn::Module& net = *model.net;
  const auto optimizer = optim::make_optimizer(o.optimizer, model.groups, o.lr);
  const std::int64_t iterations = iterations_of(o, parts.training);
  nn::TrainerOptions options = trainer_options(o, iterations);
  RunFolder folder(o.out, validated);
  ReportFile report(o.report, settings_of(command));
  report.begin(model, data);

  const nn::Progress progress;
  if (o.model.takes_images()) fmt::print("{}", nn::to_string(nn::summary(net, parts.training.input_shape())));
  progress.line(
      fmt::format("{}, {} parameters, {} lr {}, batch {}, {} iterations, {} training and {} test images",
                  model.description, net.parameter_count(), o.optimizer, o.lr, o.batch, iterations,
                  parts.training.size(), data.test.size()));
  const InterruptHandler handler;
  options.on_batch = [&](nn::Trainer& trainer, const nn::BatchReport& b) {
    progress(trainer, b);
    if (interrupted) trainer.stop();
  };
  options.on_epoch = [&](nn::Trainer&, const nn::EpochReport& e) {
    const nn::Score test = nn::evaluate(net, data.test);
    progress.line(fmt::format(
        "epoch {:3}  iteration {:6}{}{}{}  {:.1f} s", e.epoch, e.iteration, score_text("train", e.training),
        validated ? score_text("validation", e.validation) : "", score_text("test", test), e.seconds));
    folder.add(e, test);
    report.add(e, test);
    // What was saved before is worth more than weights that are no numbers.
    if (std::isfinite(e.training.loss)) folder.save("parameters.safetensors", model);
    if (validated && e.best) folder.save("best.safetensors", model);
  };
  nn::Trainer trainer(net, *optimizer, options);
  const nn::History& history = trainer.fit(parts.training, parts.validation);

  if (history.stop_reason == nn::StopReason::diverged) {
    fmt::print(stderr,
               "tapegrad: after {} iterations the loss or a gradient is no longer finite; a smaller --lr or "
               "--clip may help\n",
               optimizer->steps());
    return 1;
  }
  report.write(model, data, o.batch);
  return conclude(o, history, optimizer->steps(), validated, folder, progress);
}

}  // namespace

void add_train_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TrainOptions>();
  TrainOptions& o = *options;
  CLI::App& c =
      *app.add_subcommand("train", "Train a classifier on images in MNIST's format (IDX, plain or gzip)");
  c.add_option("--data", o.data, "Folder of the four IDX files")->required();
  c.add_flag(
       "--standardize{all}", o.standardize,
       "Scale the images to mean 0 and standard deviation 1 by those of the training images: of all pixels "
       "together, or with --standardize=pixels of each pixel by itself")
      ->check(CLI::IsMember({"all", "pixels"}));
  o.model.add_to(c);
  c.add_option("--optimizer", o.optimizer, "Update rule")
      ->check(CLI::IsMember(optim::optimizer_names()))
      ->capture_default_str();
  c.add_option("--lr", o.lr, "Learning rate")->check(above(0))->capture_default_str();
  c.add_option(
       "--schedule", o.schedule,
       "Of the rate: constant, step[:LEFT], exponential[:LEFT], inverse[:LEFT], linear[:LEFT], cosine[:LEFT] "
       "or one-cycle; LEFT is the share of the rate that is left in the end, for step after a third")
      ->capture_default_str();
  c.add_option("--warm-up", o.warm_up, "Iterations in which the rate rises first")->check(at_least(0));
  c.add_option("--plateau", o.plateau, "Reduce the rate to a tenth after so many epochs without a better one")
      ->check(at_least(1));
  c.add_option("--weight-decay", o.model.weight_decay,
               "Of the weights; default 0, for adamw 0.01 of all parameters")
      ->check(at_least(0));
  c.add_option("--clip", o.clip, "Largest global norm of a gradient")->check(above(0));
  c.add_option("--validation", o.validation,
               "Share of the training images held out, by which the best epoch is found");
  c.add_option("--patience", o.patience, "End after so many epochs without a better one")->check(at_least(1));
  c.add_option("--batch", o.batch, "Images in a batch")->check(at_least(1))->capture_default_str();
  CLI::Option* epochs = c.add_option("--epochs", o.epochs, "Passes over the training images")
                            ->check(at_least(1))
                            ->capture_default_str();
  c.add_option("--iterations", o.iterations, "Batches in all, in place of --epochs")
      ->check(at_least(1))
      ->excludes(epochs);
  c.add_option("--seed", o.seed, "Of the initial weights and the order of the images")
      ->check(at_least(0))
      ->capture_default_str();
  c.add_option("--threads", o.threads, "Threads that compute; the result does not depend on it")
      ->check(at_least(1))
      ->capture_default_str();
  c.add_option("--out", o.out, "Folder for history.csv and parameters.safetensors")->required();
  c.add_option("--report", o.report,
               "HTML page to write: curves, confusion matrix, misclassified images, graph");
  c.callback([options, &c, &exit_code] { exit_code = train(*options, c); });
}

}  // namespace tapegrad::cli
