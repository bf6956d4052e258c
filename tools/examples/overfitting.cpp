// A large network on few images learns them by heart; weight decay and dropout hold it back. 300 images, 7
// layers of 100, 200 epochs, means of three seeds. "Deep Learning from Scratch", chapter 6.4.
// usage: overfitting [MNIST_FOLDER]
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  const nn::Dataset few = mnist.train.head(300);
  fmt::print("{:22} {:>7} {:>7} {:>7} {:>10} {:>10}\n", "", "train", "test", "gap", "train loss",
             "test loss");
  const struct {
    const char* name;
    double weight_decay, dropout;
  } cases[] = {{"plain", 0, 0},
               {"weight decay 0.03", 0.03, 0},
               {"weight decay 0.1", 0.1, 0},
               {"dropout 0.1", 0, 0.1},
               {"dropout 0.2", 0, 0.2}};
  for (const auto& c : cases) {
    nn::Score train{0, 0}, test{0, 0};
    constexpr std::uint64_t kSeeds = 3;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      Generator rng(seed);
      nn::MultiLayerNet net(
          784, 10, rng,
          {.hidden = {100, 100, 100, 100, 100, 100}, .dropout = c.dropout, .weight_decay = c.weight_decay});
      optim::SGD sgd(net, 0.01);
      nn::Trainer trainer(net, sgd, {.epochs = 200, .seed = seed, .evaluate_training = false});
      trainer.fit(few);
      const auto add = [](nn::Score& sum, const nn::Score& s) {
        sum.loss += s.loss / kSeeds;
        sum.metric += s.metric / kSeeds;
      };
      add(train, nn::evaluate(net, few));
      add(test, nn::evaluate(net, mnist.test));
    }
    fmt::print("{:22} {:7.3f} {:7.3f} {:7.3f} {:10.3f} {:10.3f}\n", c.name, train.metric, test.metric,
               train.metric - test.metric, train.loss, test.loss);
  }
}
