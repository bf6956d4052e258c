/// Draws what a convolutional network has learnt as SVG files: its first filters before and after training, what they
/// make of one digit, and the digits that it confuses most often. usage: pictures_of_filters [MNIST_FOLDER [FOLDER]]
#include <filesystem>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

#include "plot/classification.h"
#include "plot/convolutions.h"

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist", {.flatten = false});
  const std::filesystem::path folder = argc > 2 ? argv[2] : "build/pictures";
  std::filesystem::create_directories(folder);
  const auto save = [&](const std::string& name, const plot::Picture& picture) {
    plot::save((folder / name).string(), picture);
    fmt::print("{}\n", (folder / name).string());
  };

  Generator rng(0);
  nn::Sequential net = nn::simple_conv_net({1, 28, 28}, 10, rng);
  const auto first_layer = [&] { return plot::first_convolution(net, mnist.test); };
  save("filters_before.svg", plot::image_grid(first_layer().filters, 10, "Filters before training"));

  optim::Adam adam(net, 0.001);
  nn::Trainer(net, adam, {.epochs = 5}).fit(mnist.train);
  fmt::print("accuracy after 5 epochs: {:.4f} on the test images\n", nn::evaluate(net, mnist.test).metric);
  const plot::FirstConvolution first = first_layer();
  save("filters_after.svg", plot::image_grid(first.filters, 10, "Filters after training"));
  save("feature_maps.svg", plot::image_grid(first.maps, 10, "What they make of the first test image"));

  const plot::Classification found = plot::examine(net, mnist.test);
  std::vector<plot::Picture> rows;
  for (const plot::Confusion& c : found.most_confused)
    rows.push_back(plot::image_grid(
        c.images, 8, fmt::format("{}: {} of {}", found.pair(c.truth, c.predicted), c.count, c.total), 70));
  save("confused_digits.svg", plot::grid(rows, 1, "The digits that are confused most often"));
}
