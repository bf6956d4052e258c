/// Draws what there is to see of a training as SVG files: digits, curves of loss and accuracy, which digits
/// were taken for which, and those that were misclassified. usage: pictures_of_networks [MNIST_FOLDER
/// [FOLDER]]
#include <filesystem>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/chart.h"
#include "plot/classification.h"
#include "plot/images.h"

using namespace tapegrad;

namespace {

/// The first `count` images, with their labels below.
plot::Picture sample_digits(const nn::Dataset& data, std::int64_t count) {
  const nn::Batch b = data.batch(0, count);
  const auto pixels = static_cast<std::size_t>(data.input_shape().size());
  std::vector<plot::Image> images;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    images.push_back(plot::image_of(b.x.values<float>().subspan(i * pixels, pixels), 28,
                                    std::to_string(b.t.values<std::int64_t>()[i])));
  return plot::image_grid(images, 10, "Digits and their labels");
}

}  // namespace

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  const std::filesystem::path folder = argc > 2 ? argv[2] : "build/pictures";
  std::filesystem::create_directories(folder);
  const auto save = [&](const std::string& name, const plot::Picture& picture) {
    plot::save((folder / name).string(), picture);
    fmt::print("{}\n", (folder / name).string());
  };
  save("digits.svg", sample_digits(mnist.train, 50));

  Generator rng(0);
  nn::MultiLayerNet net(784, 10, rng, {.hidden = {50}});
  optim::SGD sgd(net, 0.1);
  nn::Trainer trainer(net, sgd, {.epochs = 17});
  plot::Points train_loss, test_loss, train_accuracy, test_accuracy;
  for (const nn::EpochReport& e : trainer.fit(mnist.train, mnist.test).epochs) {
    const auto epoch = static_cast<double>(e.epoch);
    train_loss.push_back({epoch, e.training.loss});
    test_loss.push_back({epoch, e.validation.loss});
    train_accuracy.push_back({epoch, e.training.metric});
    test_accuracy.push_back({epoch, e.validation.metric});
  }
  fmt::print("accuracy after 17 epochs: {:.4f} in training, {:.4f} on the test images\n",
             train_accuracy.back().y, test_accuracy.back().y);
  save("loss.svg", plot::Chart("Loss over the epochs")
                       .x({.label = "epoch"})
                       .y({.label = "cross entropy", .scale = plot::Scale::log})
                       .line("training", train_loss)
                       .line("test", test_loss)
                       .draw());
  save("accuracy.svg", plot::Chart("Accuracy over the epochs")
                           .x({.label = "epoch"})
                           .y({.label = "accuracy", .to = 1})
                           .line("training", train_accuracy)
                           .line("test", test_accuracy)
                           .draw());

  const plot::Classification found = plot::examine(net, mnist.test, 50);
  save("confusion.svg", plot::confusion_matrix(found.confusion, "Confusion matrix of the test digits"));
  save("misclassified_digits.svg",
       plot::image_grid(found.misclassified, 10, "Misclassified digits, the surest first", 70));
}
