// Training with all that the Trainer does: a validation split, a schedule, clipping, early stopping, the best
// state kept, and callbacks. usage: trainer [MNIST_FOLDER]
#include <algorithm>
#include <utility>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  Generator rng(0);
  nn::MultiLayerNet net(784, 10, rng,
                        {.hidden = {100, 100}, .batch_norm = true, .dropout = 0.2, .weight_decay = 1e-4});
  optim::AdamW adamw(net, 0.001);

  double largest = 0;
  nn::TrainerOptions options{.epochs = 30,
                             .validation = 0.1,
                             .schedule = optim::warm_up(54, optim::cosine(0.005, 29 * 54)),
                             .clip_norm = 1,
                             .monitor = nn::Monitor::metric,
                             .patience = 6};
  options.on_batch = [&](nn::Trainer&, const nn::BatchReport& b) {
    largest = std::max(largest, b.gradient_norm);
  };
  options.on_epoch = [&](nn::Trainer&, const nn::EpochReport& e) {
    fmt::print("{:5} {:9} {:8.4f} {:7.4f} {:8.4f} {:7.4f} {:9.6f} {:8.2f} {}\n", e.epoch, e.iteration,
               e.training.loss, e.training.metric, e.validation.loss, e.validation.metric, e.lr,
               std::exchange(largest, 0.0), e.best ? "*" : "");
  };
  fmt::print("{}, {} parameters\n\n", net.describe(), net.parameter_count());
  fmt::print("            {:>17} {:>16}\nepoch iteration {:>8} {:>6} {:>9} {:>7} {:>9} {:>8}\n", "training",
             "validation", "loss", "acc", "loss", "acc", "lr", "gradient");
  nn::Trainer trainer(net, adamw, options);
  const nn::History& history = trainer.fit(mnist.train);

  const double last = nn::evaluate(net, mnist.test).metric;
  trainer.restore_best();
  fmt::print("\n{} after {} epochs in {:.1f} s; test accuracy {:.4f}, of the best epoch ({}) {:.4f}\n",
             history.stop_reason == nn::StopReason::early ? "stopped early" : "done", history.epochs.size(),
             history.epochs.back().seconds, last, history.best()->epoch,
             nn::evaluate(net, mnist.test).metric);
}
