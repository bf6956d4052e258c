// How the initial weights decide what passes a deep network: 1,000 samples through 5 layers of 100 nodes,
// measured, and as histograms of the activations. "Deep Learning from Scratch", chapter 6.2.
// usage: weight_init [FOLDER_FOR_THE_PICTURES]
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/chart.h"

using namespace tapegrad;

namespace {

/// An activation and the range in which its values are shown.
struct Activation {
  std::string name;
  double from;
  std::optional<double> height{};  ///< of the histograms; not given: each its own
};

double stddev_of(const Tensor& x) { return std::sqrt(var(x).item()); }

/// The share of outputs at which the activation is flat: within 0.01 of a bound, or zeros of a relu.
double saturated(const Tensor& y, const Activation& activation) {
  double count = 0;
  for (const double v : y.values<double>())
    count += activation.name == "relu" ? v == 0 : v < activation.from + 0.01 || v > 0.99;
  return count / static_cast<double>(y.size());
}

/// Prints a line for each way to draw the weights, and gives a row of histograms for each, one a layer.
plot::Picture study(const Activation& activation, const Tensor& x, Generator& rng) {
  std::vector<plot::Picture> panels;
  for (const std::string init : {"std:1", "std:0.01", "xavier", "he"}) {
    nn::MultiLayerNet net(100, 10, rng,
                          {.hidden = {100, 100, 100, 100, 100},
                           .activation = activation.name,
                           .init = nn::Init::parse(init),
                           .dtype = f64});
    nn::LayerOutputs layers;
    Tape tape;
    const Tensor loss = sum(square(net(x)));
    const std::vector<Tensor> gradients = layers.gradients(tape, loss);
    std::string spread, flat;
    double first = 0, last = 0;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto& [path, y] = layers[i];
      if (!path.starts_with(activation.name)) continue;
      spread += fmt::format("{:9.2g}", stddev_of(y));
      flat += fmt::format("{:5.0f} %", 100 * saturated(y, activation));
      last = stddev_of(gradients[i]);
      if (first == 0) first = last;
      panels.push_back(plot::Chart(fmt::format("{}, {}", init, path))
                           .size(250, 190)
                           .x({.from = activation.from, .to = 1})
                           .y({.to = activation.height})
                           .histogram(y.values<double>(), 30, activation.from, 1)
                           .draw());
    }
    fmt::print("{:8} {:9} {}  {}  {:8.2g}\n", activation.name, init, spread, flat, first / last);
  }
  return plot::grid(panels, 5,
                    "Activations of " + activation.name + " in five layers, by the initial weights");
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "build/pictures";
  std::filesystem::create_directories(folder);
  Generator rng(0);
  const Tensor x = randn({1000, 100}, rng, f64);
  fmt::print(
      "standard deviation of the outputs of layers 1 ... 5; share of them where the activation is flat "
      "(relu: zeros);\n"
      "standard deviation of the gradient at layer 1 as a multiple of that at layer 5\n\n");
  const Activation activations[] = {{"sigmoid", 0}, {"tanh", -1}, {"relu", 0, 7000}};
  std::vector<std::string> files;
  for (const Activation& activation : activations) {
    files.push_back((folder / ("activations_" + activation.name + ".svg")).string());
    plot::save(files.back(), study(activation, x, rng));
  }
  for (const std::string& file : files) fmt::print("{}\n", file);
}
