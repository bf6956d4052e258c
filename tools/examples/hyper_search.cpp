// Searches a learning rate and a weight decay: trials drawn at random, uniform in the logarithm, judged on a
// fifth of 500 images, two at a time. "Deep Learning from Scratch", chapter 6.5. usage: hyper_search
// [MNIST_FOLDER [FOLDER_FOR_THE_PICTURE]]
#include <filesystem>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/chart.h"

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  const nn::Dataset::Split split = mnist.train.head(500).split(100, 0);

  const auto run = [&](const nn::Trial& trial) -> nn::TrialResult {
    Generator rng(trial.seed);
    nn::MultiLayerNet net(784, 10, rng,
                          {.hidden = {100, 100, 100, 100, 100, 100}, .weight_decay = trial["weight decay"]});
    optim::SGD sgd(net, trial["lr"]);
    nn::Trainer trainer(net, sgd, {.epochs = 50, .seed = trial.seed, .evaluate_training = false});
    nn::TrialResult result = 0;
    for (const nn::EpochReport& e : trainer.fit(split.training, split.validation).epochs)
      result.curve.push_back(e.validation.metric);
    result.score = result.curve.empty() ? 0 : result.curve.back();
    return result;
  };
  const std::vector<nn::Trial> ranked = nn::random_search({{"lr", 1e-6, 1e-2}, {"weight decay", 1e-8, 1e-4}},
                                                          run, {.trials = 40, .threads = 2, .seed = 0});

  fmt::print("{:>4} {:>5} {:>12} {:>12}   validation accuracy after 10, 20, 30, 40, 50 epochs\n", "rank",
             "trial", "lr", "weight decay");
  for (std::size_t i = 0; i < 20; ++i) {
    const nn::Trial& t = ranked[i];
    fmt::print("{:4} {:5} {:12.3e} {:12.3e}  ", i + 1, t.number, t["lr"], t["weight decay"]);
    for (std::size_t epoch = 9; epoch < t.result.curve.size(); epoch += 10)
      fmt::print(" {:5.2f}", t.result.curve[epoch]);
    fmt::print("\n");
  }

  std::vector<plot::Picture> panels;
  for (std::size_t i = 0; i < 20; ++i) {
    plot::Points curve;
    for (const double accuracy : ranked[i].result.curve)
      curve.push_back({static_cast<double>(curve.size() + 1), accuracy});
    panels.push_back(plot::Chart(fmt::format("{}: lr {:.1e}, decay {:.1e}", i + 1, ranked[i]["lr"],
                                             ranked[i]["weight decay"]))
                         .size(280, 180)
                         .y({.from = 0, .to = 1})
                         .line("", curve)
                         .draw());
  }
  const std::filesystem::path folder = argc > 2 ? argv[2] : "build/pictures";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "best_trials.svg").string();
  plot::save(path, plot::grid(panels, 5, "The 20 best trials: validation accuracy over the epochs"));
  fmt::print("{}\n", path);
}
