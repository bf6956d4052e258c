/// Trains a 784-50-100-10 network with sigmoids and saves its weights in two formats; three_layer_predict,
/// another process, then uses them. usage: three_layer_train [MNIST_FOLDER [FOLDER_FOR_WEIGHTS]]
#include <filesystem>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  const std::filesystem::path folder = argc > 2 ? argv[2] : "build/three_layer";

  Generator rng(0);
  const nn::AffineOptions xavier{.init = nn::Init::xavier()};
  nn::Sequential net{nn::named("affine1", nn::Affine(784, 50, rng, xavier)), nn::Sigmoid(),
                     nn::named("affine2", nn::Affine(50, 100, rng, xavier)), nn::Sigmoid(),
                     nn::named("affine3", nn::Affine(100, 10, rng, xavier))};
  optim::Adam adam(net.parameters(), 0.003);
  const nn::SoftmaxWithLoss loss;
  const nn::DataLoader loader(mnist.train, {.batch = 100});
  for (std::uint64_t epoch = 0; epoch < 20; ++epoch)
    for (const nn::Batch& batch : loader.epoch(epoch)) {
      Tape tape;
      adam.step(tape.backward(loss(net(batch.x), batch.t)));
    }

  const nn::Batch test = mnist.test.batch(0, mnist.test.size());
  const std::string accuracy = fmt::format("{:.4f}", nn::accuracy(net(test.x), test.t));
  std::filesystem::create_directories(folder);
  for (const char* name : {"weights.npz", "weights.safetensors"}) {
    const std::string path = (folder / name).string();
    nn::save_state(path, net.state(), {{"model", "784-50-100-10 sigmoid"}, {"test accuracy", accuracy}});
    fmt::print("{}: {} parameters, test accuracy {}\n", path, net.parameter_count(), accuracy);
  }
}
