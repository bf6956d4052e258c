#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Dataset mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist").train;
  const nn::Dataset::Split split = mnist.head(500).split(100, 0);
  const auto run = [&](const nn::Trial& trial) -> nn::TrialResult {
    Generator rng(trial.seed);
    nn::MultiLayerNet net(784, 10, rng, {.hidden = {50}, .weight_decay = trial["decay"]});
    optim::SGD sgd(net, trial["lr"]);
    nn::Trainer trainer(net, sgd, {.epochs = 20, .seed = trial.seed, .evaluate_training = false});
    const nn::History& history = trainer.fit(split.training, split.validation);
    return history.epochs.empty() ? 0 : history.epochs.back().validation.metric;
  };
  const std::vector<nn::Trial> ranked =
      nn::random_search({{"lr", 1e-4, 1}, {"decay", 1e-8, 1e-2}}, run, {.trials = 20, .threads = 2});
  for (const nn::Trial& t : ranked)
    fmt::print("trial {:2}: lr {:.2e}, decay {:.2e}: accuracy {:.2f}\n", t.number, t["lr"], t["decay"],
               t.result.score);
}
