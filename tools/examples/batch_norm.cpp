// Batch normalisation makes training insensitive to the initial weights: 5 hidden layers of 100 on 1,000
// images, SGD 0.01, for 16 initial standard deviations. "Deep Learning from Scratch", chapter 6.3.
// usage: batch_norm [MNIST_FOLDER [FOLDER_FOR_THE_PICTURE]]
#include <cmath>
#include <filesystem>
#include <limits>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/chart.h"

using namespace tapegrad;

namespace {

constexpr std::size_t kEpochs = 20;

/// Accuracies on the training images after each epoch; none are left where the training has diverged.
plot::Points train(const nn::Dataset& data, double stddev, bool batch_norm) {
  Generator rng(0);
  nn::MultiLayerNet net(
      784, 10, rng,
      {.hidden = {100, 100, 100, 100, 100}, .init = nn::Init::normal(stddev), .batch_norm = batch_norm});
  optim::SGD sgd(net, 0.01);
  nn::Trainer trainer(net, sgd, {.epochs = kEpochs});
  try {
    trainer.fit(data);
  } catch (const nn::Diverged&) {  // as is to be seen here; the epochs before it count
  }
  plot::Points accuracies;
  for (const nn::EpochReport& e : trainer.history().epochs)
    if (std::isfinite(e.training.loss))
      accuracies.push_back({static_cast<double>(e.epoch), e.training.metric});
  return accuracies;
}

/// The accuracy after so many epochs.
double after(std::size_t epochs, const plot::Points& accuracies) {
  return epochs <= accuracies.size() ? accuracies[epochs - 1].y : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

int main(int argc, char** argv) {
  const nn::Dataset data = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist").train.head(1000);
  fmt::print("accuracy on the training images after 5, 10 and 20 epochs (nan: the training diverged)\n\n");
  fmt::print("{:>10}  {:>22}  {:>22}\n", "stddev", "plain", "batch normalisation");
  int better = 0;
  std::vector<plot::Picture> panels;
  for (int i = 0; i < 16; ++i) {
    const double stddev = std::pow(10.0, -4.0 * i / 15);
    const plot::Points plain = train(data, stddev, false);
    const plot::Points normalised = train(data, stddev, true);
    fmt::print("{:10.6f}  {:8.3f}{:7.3f}{:7.3f}  {:8.3f}{:7.3f}{:7.3f}\n", stddev, after(5, plain),
               after(10, plain), after(kEpochs, plain), after(5, normalised), after(10, normalised),
               after(kEpochs, normalised));
    better += !(after(kEpochs, plain) >= after(kEpochs, normalised));
    plot::Chart panel(fmt::format("stddev {:.2g}", stddev));
    panel.size(330, 210).x({.from = 0, .to = static_cast<double>(kEpochs)}).y({.from = 0, .to = 1});
    panels.push_back(panel.line("normalised", normalised).line("plain", plain, plot::kDashed).draw());
  }
  fmt::print("\nBatch normalisation is ahead after {} epochs for {} of 16 standard deviations.\n", kEpochs,
             better);

  const std::filesystem::path folder = argc > 2 ? argv[2] : "build/pictures";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "batch_norm.svg").string();
  plot::save(path, plot::grid(panels, 4,
                              "Accuracy over the epochs, by the standard deviation of the initial weights"));
  fmt::print("{}\n", path);
}
