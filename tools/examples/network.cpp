#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  Generator rng(0);
  nn::Sequential net{nn::Affine(784, 50, rng), nn::Relu(), nn::Affine(50, 10, rng)};
  nn::SoftmaxWithLoss loss;
  optim::SGD optimizer(net.parameters(), 0.1);
  nn::DataLoader loader(mnist.train, {.batch = 100});

  for (std::uint64_t epoch = 0; epoch < 10; ++epoch) {
    for (const nn::Batch& batch : loader.epoch(epoch)) {
      Tape tape;  // from here on, what depends on a parameter is recorded
      Gradients gradients = tape.backward(loss(net(batch.x), batch.t));
      optimizer.step(gradients);
    }
    const nn::Batch test = mnist.test.batch(0, mnist.test.size());
    fmt::print("epoch {}: test accuracy {:.4f}\n", epoch, nn::accuracy(net(test.x), test.t));
  }
}
