#include <csignal>
#include <cstdio>
#include <filesystem>

#include <tapegrad/nn/file.h>
#include <tapegrad/ops/threads.h>
#include <tapegrad/tapegrad.h>

#include <fmt/format.h>

#include "commands.h"
#include "model_options.h"
#include "progress.h"

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
  std::uint64_t seed = 0;
  int threads = 1;
  std::string out;
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

struct Score {
  double loss = 0;
  double accuracy = 0;
};

Score evaluate(nn::Sequential& net, const nn::Dataset& data) {
  Score s;
  const nn::SoftmaxWithLoss loss;
  for (const nn::Batch& b : nn::in_order(data, 1000)) {
    const Tensor scores = net(b.x);
    const auto n = static_cast<double>(b.size());
    s.loss += n * loss(scores, b.t).item();
    s.accuracy += n * nn::accuracy(scores, b.t);
  }
  const auto total = static_cast<double>(data.size());
  return {s.loss / total, s.accuracy / total};
}

/// Where a run leaves its history and its parameters. Whether the folder can be written is found out before
/// training.
class RunFolder {
 public:
  explicit RunFolder(const std::string& path) : path_(path) {
    std::error_code error;
    std::filesystem::create_directories(path_, error);
    if (error) throw FileError(fmt::format("--out {}: cannot make the folder: {}", path, error.message()));
    write_history();
  }
  void add(std::int64_t epoch, std::int64_t iteration, const Score& train, const Score& test) {
    history_ += fmt::format("{},{},{:.6f},{:.6f},{:.6f},{:.6f}\n", epoch, iteration, train.loss,
                            train.accuracy, test.loss, test.accuracy);
    write_history();
  }
  void save(nn::Module& net, const std::string& description) {
    nn::save_state((path_ / "parameters.safetensors").string(), net.state(), {{"model", description}});
  }
  std::string name() const { return path_.string(); }

 private:
  void write_history() {
    nn::AtomicFile file((path_ / "history.csv").string());
    file.write(history_);
    file.commit();
  }
  std::filesystem::path path_;
  std::string history_ = "epoch,iteration,train_loss,train_accuracy,test_loss,test_accuracy\n";
};

void require_positive(std::int64_t value, const char* option) {
  if (value < 1) throw ArgumentError(fmt::format("{} {}: it must be at least 1", option, value));
}

int train(const TrainOptions& o) {
  require_positive(o.batch, "--batch");
  require_positive(o.epochs, "--epochs");
  if (!(o.lr > 0)) throw ArgumentError(fmt::format("--lr {}: it must be above 0", o.lr));
  set_threads(o.threads);
  const nn::Mnist data = nn::load_mnist(o.data);
  const std::int64_t inputs = data.train.input_shape().size();
  const std::int64_t classes = data.train.classes();

  Generator generator(o.seed);
  nn::Sequential net = o.model.build(inputs, classes, generator);
  const auto optimizer = optim::make_optimizer(o.optimizer, net.parameters(), o.lr);
  const nn::DataLoader loader(data.train, {.batch = o.batch, .drop_last = true, .seed = o.seed});
  const std::int64_t last = o.iterations > 0 ? o.iterations : o.epochs * loader.size();
  RunFolder folder(o.out);
  const std::string description = o.model.describe(inputs, classes);

  Progress progress;
  progress.line(fmt::format(
      "{}, {} parameters, {} lr {}, batch {}, {} iterations, {} training and {} test images", description,
      net.parameter_count(), o.optimizer, o.lr, o.batch, last, data.train.size(), data.test.size()));
  const nn::SoftmaxWithLoss loss;
  const InterruptHandler handler;
  const auto start = std::chrono::steady_clock::now();
  std::int64_t iteration = 0;
  const auto report = [&](std::int64_t epoch) {
    net.eval();
    const Score train = evaluate(net, data.train);
    const Score test = evaluate(net, data.test);
    net.train();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    progress.line(fmt::format(
        "epoch {:3}  iteration {:6}  train loss {:.4f} accuracy {:.4f}  test loss {:.4f} accuracy "
        "{:.4f}  {:.1f} s",
        epoch, iteration, train.loss, train.accuracy, test.loss, test.accuracy, seconds.count()));
    folder.add(epoch, iteration, train, test);
    folder.save(net, description);
  };
  for (std::int64_t epoch = 1; iteration < last && !interrupted; ++epoch) {
    for (const nn::Batch& b : loader.epoch(static_cast<std::uint64_t>(epoch))) {
      Tape tape;
      const Tensor y = loss(net(b.x), b.t);
      optimizer->step(tape.backward(y));
      ++iteration;
      progress.show([&] {
        return fmt::format("epoch {:3}  iteration {:6} of {}  batch loss {:.4f}", epoch, iteration, last,
                           y.item());
      });
      if (iteration == last || interrupted) break;
    }
    report(epoch);
  }
  if (interrupted) {
    progress.line(fmt::format("interrupted after {} iterations; parameters and history so far are in {}",
                              iteration, folder.name()));
    return 130;  // what a shell reports for a program ended by Ctrl-C
  }
  progress.line(fmt::format("parameters and history are in {}", folder.name()));
  return 0;
}

}  // namespace

void add_train_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<TrainOptions>();
  TrainOptions& o = *options;
  CLI::App& c =
      *app.add_subcommand("train", "Train a classifier on images in MNIST's format (IDX, plain or gzip)");
  c.add_option("--data", o.data, "Folder of the four IDX files")->required();
  o.model.add_to(c);
  c.add_option("--optimizer", o.optimizer, "Update rule")
      ->check(CLI::IsMember(optim::optimizer_names()))
      ->capture_default_str();
  c.add_option("--lr", o.lr, "Learning rate")->capture_default_str();
  c.add_option("--batch", o.batch, "Images in a batch")->capture_default_str();
  CLI::Option* epochs =
      c.add_option("--epochs", o.epochs, "Passes over the training images")->capture_default_str();
  c.add_option("--iterations", o.iterations, "Batches in all, in place of --epochs")
      ->check(CLI::PositiveNumber)
      ->excludes(epochs);
  c.add_option("--seed", o.seed, "Of the initial weights and the order of the images")->capture_default_str();
  c.add_option("--threads", o.threads, "Threads that compute; the result does not depend on it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c.add_option("--out", o.out, "Folder for history.csv and parameters.safetensors")->required();
  c.callback([options, &exit_code] { exit_code = train(*options); });
}

}  // namespace tapegrad::cli
