// What "Deep Learning from Scratch", chapter 6, shows with figures: how networks behave, measured. The
// programs in tools/examples print the same at length.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <boost/test/unit_test.hpp>

#include "folders.h"

namespace studies_test {

using namespace tapegrad;

BOOST_AUTO_TEST_SUITE(studies)

namespace {

struct LayerStatistics {
  double stddev;
  double saturated;  ///< share of outputs within 0.01 of a bound
};

/// Of the outputs of 5 layers of 100 nodes for 1,000 samples.
std::vector<LayerStatistics> activations(const std::string& activation, const char* init) {
  Generator rng(1);
  nn::MultiLayerNet net(100, 1, rng,
                        {.hidden = {100, 100, 100, 100, 100},
                         .activation = activation,
                         .init = nn::Init::parse(init),
                         .dtype = f64});
  nn::LayerOutputs layers;
  net(randn({1000, 100}, rng, f64));
  std::vector<LayerStatistics> all;
  for (const auto& [path, y] : layers) {
    if (!path.starts_with(activation)) continue;
    const auto near_bound = [&](double v) { return v > 0.99 || v < (activation == "tanh" ? -0.99 : 0.01); };
    const auto v = y.values<double>();
    all.push_back({std::sqrt(var(y).item()), static_cast<double>(std::ranges::count_if(v, near_bound)) /
                                                 static_cast<double>(v.size())});
  }
  BOOST_TEST_REQUIRE(all.size() == 5U);
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(large_initial_weights_saturate_a_sigmoid) {
  for (const LayerStatistics& layer : activations("sigmoid", "std:1")) BOOST_TEST(layer.saturated > 0.35);
  for (const LayerStatistics& layer : activations("tanh", "std:1")) BOOST_TEST(layer.saturated > 0.6);
}

BOOST_AUTO_TEST_CASE(small_initial_weights_make_all_nodes_alike) {
  for (const LayerStatistics& layer : activations("sigmoid", "std:0.01")) {
    BOOST_TEST(layer.saturated == 0);
    BOOST_TEST(layer.stddev < 0.04);
  }
  for (const char* activation : {"tanh", "relu"}) {
    const auto layers = activations(activation, "std:0.01");
    for (std::size_t i = 1; i < layers.size(); ++i) BOOST_TEST(layers[i].stddev < 0.2 * layers[i - 1].stddev);
    BOOST_TEST(layers[4].stddev < 1e-4);
  }
}

BOOST_AUTO_TEST_CASE(xavier_and_he_keep_the_activations_spread) {
  for (const LayerStatistics& layer : activations("sigmoid", "xavier")) {
    BOOST_TEST(layer.stddev > 0.1);
    BOOST_TEST(layer.saturated < 0.01);
  }
  for (const LayerStatistics& layer : activations("tanh", "xavier")) {
    BOOST_TEST(layer.stddev > 0.25);
    BOOST_TEST(layer.saturated < 0.02);
  }
  for (const LayerStatistics& layer : activations("relu", "he"))
    BOOST_TEST(std::abs(std::log(layer.stddev)) < 0.7);
  // Xavier loses half of a relu's variance in each layer, He does not.
  BOOST_TEST(activations("relu", "xavier")[4].stddev < 0.4 * activations("relu", "he")[4].stddev);
}

namespace {

const nn::Mnist& mnist() {
  static const nn::Mnist data = nn::load_mnist(test::in_source("tools/data/mnist"));
  return data;
}

}  // namespace

BOOST_AUTO_TEST_CASE(batch_normalisation_learns_where_a_plain_network_does_not) {
  const auto accuracy_after = [&](double stddev, bool batch_norm) {
    Generator rng(0);
    nn::MultiLayerNet net(
        784, 10, rng,
        {.hidden = {100, 100, 100, 100, 100}, .init = nn::Init::normal(stddev), .batch_norm = batch_norm});
    optim::SGD sgd(net, 0.01);
    nn::Trainer trainer(net, sgd, {.epochs = 12, .evaluate_training = false});
    trainer.fit(mnist().train.head(1000));
    return nn::evaluate(net, mnist().train.head(1000)).metric;
  };
  for (const double stddev : {0.015, 0.005}) {
    BOOST_TEST(accuracy_after(stddev, false) < 0.2);
    BOOST_TEST(accuracy_after(stddev, true) > 0.8);
  }
}

BOOST_AUTO_TEST_CASE(weight_decay_and_dropout_narrow_the_gap_to_the_test_images) {
  const nn::Dataset few = mnist().train.head(300);
  struct Gap {
    double train, test;
  };
  const auto run = [&](double weight_decay, double dropout) {
    Generator rng(0);
    nn::MultiLayerNet net(
        784, 10, rng,
        {.hidden = {100, 100, 100, 100, 100, 100}, .dropout = dropout, .weight_decay = weight_decay});
    optim::SGD sgd(net.groups(), 0.01);
    nn::Trainer trainer(net, sgd, {.epochs = 200, .evaluate_training = false});
    trainer.fit(few);
    return Gap{nn::evaluate(net, few).metric, nn::evaluate(net, mnist().test).metric};
  };
  const Gap plain = run(0, 0);
  BOOST_TEST(plain.train > 0.99);
  BOOST_TEST(plain.train - plain.test > 0.2);
  const Gap decayed = run(0.1, 0);
  BOOST_TEST(decayed.train < plain.train);
  BOOST_TEST(decayed.train - decayed.test < plain.train - plain.test);
  const Gap dropped = run(0, 0.2);
  BOOST_TEST(dropped.train - dropped.test < plain.train - plain.test);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace studies_test
