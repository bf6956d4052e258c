/// Draws what there is to see of networks as SVG files: the activations that initial weights lead to, curves
/// of loss and accuracy, digits, and those that were mistaken. usage: pictures_of_networks [MNIST_FOLDER
/// [FOLDER]]
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/chart.h"
#include "plot/images.h"

using namespace tapegrad;

namespace {

using plot::Chart;
using plot::Image;
using plot::Points;

/// An activation, and the range in which its values are shown.
struct Activation {
  const char* name;
  Tensor (*f)(const Tensor&);
  double from;
  double most;  ///< the histograms' height; 0 for each its own
  std::vector<const char*> inits;
};

/// Which part of the values lies within 0.01 of an end of the activation's range, where its derivative
/// vanishes.
double near_end(std::span<const double> values, const Activation& a) {
  const bool bounded = a.f != static_cast<Tensor (*)(const Tensor&)>(relu);
  const auto at_end = [&](double v) { return v < a.from + 0.01 || (bounded && v > 0.99); };
  return static_cast<double>(std::count_if(values.begin(), values.end(), at_end)) /
         static_cast<double>(values.size());
}

/// What five layers of 100 nodes make of 1,000 samples of normal numbers: a histogram for each layer, a row
/// for each way to draw the weights.
plot::Picture activations(const Activation& a) {
  std::vector<plot::Picture> panels;
  for (const char* init : a.inits) {
    Generator rng(0);
    Tensor x = randn({1000, 100}, rng, f64);
    for (int layer = 1; layer <= 5; ++layer) {
      x = a.f(matmul(x, nn::Init::parse(init)({100, 100}, rng, f64)));
      const std::span<const double> values = x.values<double>();
      fmt::print("{:<8}{:<9}layer {}: deviation {:.4f}, {:5.1f} % within 0.01 of an end\n", a.name, init,
                 layer, std::sqrt(var(x).item()), 100 * near_end(values, a));
      const std::string title =
          layer == 1 ? fmt::format("{}, layer 1", init) : fmt::format("layer {}", layer);
      Chart panel(title);
      panel.size(250, 190).x({.from = a.from, .to = 1}).histogram(values, 30, a.from, 1);
      if (a.most > 0) panel.y({.to = a.most});
      panels.push_back(panel.draw());
    }
  }
  return plot::grid(panels, 5,
                    fmt::format("Activations of {} in five layers, by the initial weights", a.name));
}

/// The first `count` images, with their labels below.
plot::Picture sample_digits(const nn::Dataset& data, std::int64_t count) {
  const nn::Batch b = data.batch(0, count);
  const auto pixels = static_cast<std::size_t>(data.input_shape().size());
  std::vector<Image> images;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    images.push_back(plot::image_of(b.x.values<float>().subspan(i * pixels, pixels), 28,
                                    std::to_string(b.t.values<std::int64_t>()[i])));
  return plot::image_grid(images, 10, "Digits and their labels");
}

/// The first images that the network takes for another digit, up to `most`.
plot::Picture mistaken_digits(nn::Sequential& net, const nn::Dataset& data, std::size_t most) {
  const nn::Batch b = data.batch(0, data.size());
  const std::vector<std::int64_t> found = argmax(net(b.x), 1).to_vector<std::int64_t>();
  const std::span<const std::int64_t> truth = b.t.values<std::int64_t>();
  const auto pixels = static_cast<std::size_t>(data.input_shape().size());
  std::vector<Image> images;
  for (std::size_t i = 0; i < found.size() && images.size() < most; ++i)
    if (found[i] != truth[i])
      images.push_back(plot::image_of(b.x.values<float>().subspan(i * pixels, pixels), 28,
                                      fmt::format("{}, not {}", found[i], truth[i])));
  return plot::image_grid(images, 10, "Mistaken digits: what was found, and what it is");
}

struct Curves {
  Points train_loss, test_loss, train_accuracy, test_accuracy;
};

Curves train(nn::Sequential& net, const nn::Mnist& mnist) {
  Curves curves;
  optim::SGD sgd(net.parameters(), 0.1);
  const nn::SoftmaxWithLoss loss;
  const nn::DataLoader loader(mnist.train, {.batch = 100});
  // All training images would take as long to evaluate as the training itself.
  const nn::Batch train = mnist.train.batch(0, std::min<std::int64_t>(mnist.train.size(), 6000));
  const nn::Batch test = mnist.test.batch(0, mnist.test.size());
  const auto evaluate = [&](double epoch) {
    const Tensor train_scores = net(train.x);
    const Tensor test_scores = net(test.x);
    curves.train_loss.push_back({epoch, loss(train_scores, train.t).item()});
    curves.test_loss.push_back({epoch, loss(test_scores, test.t).item()});
    curves.train_accuracy.push_back({epoch, nn::accuracy(train_scores, train.t)});
    curves.test_accuracy.push_back({epoch, nn::accuracy(test_scores, test.t)});
  };
  evaluate(0);
  for (std::uint64_t epoch = 0; epoch < 17; ++epoch) {
    for (const nn::Batch& batch : loader.epoch(epoch)) {
      Tape tape;
      sgd.step(tape.backward(loss(net(batch.x), batch.t)));
    }
    evaluate(static_cast<double>(epoch) + 1);
  }
  return curves;
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

  const Activation studied[] = {{"sigmoid", sigmoid, 0, 0, {"std:1", "std:0.01", "xavier"}},
                                {"tanh", tanh, -1, 0, {"std:1", "std:0.01", "xavier"}},
                                {"relu", relu, 0, 7000, {"std:0.01", "xavier", "he"}}};
  for (const Activation& a : studied) save(fmt::format("activations_{}.svg", a.name), activations(a));

  save("digits.svg", sample_digits(mnist.train, 50));
  Generator rng(0);
  nn::Sequential net{nn::Affine(784, 50, rng), nn::Relu(), nn::Affine(50, 10, rng)};
  const Curves curves = train(net, mnist);
  fmt::print("accuracy after 17 epochs: {:.4f} in training, {:.4f} on the test images\n",
             curves.train_accuracy.back().y, curves.test_accuracy.back().y);
  save("loss.svg", Chart("Loss over the epochs")
                       .x({.label = "epoch"})
                       .y({.label = "cross entropy", .scale = plot::Scale::log})
                       .line("training", curves.train_loss)
                       .line("test", curves.test_loss)
                       .draw());
  save("accuracy.svg", Chart("Accuracy over the epochs")
                           .x({.label = "epoch"})
                           .y({.label = "accuracy", .from = 0, .to = 1})
                           .line("training", curves.train_accuracy)
                           .line("test", curves.test_accuracy)
                           .draw());
  save("mistaken_digits.svg", mistaken_digits(net, mnist.test, 50));
}
