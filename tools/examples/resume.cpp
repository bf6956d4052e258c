#include <filesystem>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  const std::string folder = argc > 2 ? argv[2] : "build/checkpoints";
  Generator rng(0);
  nn::MultiLayerNet net(784, 10, rng, {.hidden = {100}, .batch_norm = true, .dropout = 0.2});
  optim::Adam adam(net, 0.001);
  const nn::Progress progress;
  nn::Trainer trainer(net, adam,
                      {.epochs = 10,
                       .checkpoint_folder = folder,
                       .checkpoint_every = 100,
                       .on_batch = progress,
                       .on_epoch = progress});
  if (!nn::checkpoints_in(folder).empty()) {
    const nn::Resumed resumed = trainer.resume(folder);
    for (const std::string& reason : resumed.unreadable) fmt::print("skipped: {}\n", reason);
    fmt::print("resumed from {}, after {} updates\n", resumed.path, adam.steps());
  }
  trainer.fit(mnist.train);
  fmt::print("test accuracy {:.4f}\n", nn::evaluate(net, mnist.test).metric);
  std::filesystem::remove_all(folder);  // so that the next run starts anew
}
