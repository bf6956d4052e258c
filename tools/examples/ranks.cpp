// The same training on one rank and on four, which are threads here: the loss has the same bits. With MPI, ranks are
// processes of several machines, and the training is written as here.
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  const auto train =
      [&](nn::Communicator& comm) {  // each rank has a network, an optimizer and a trainer of its own
        Generator rng(0);
        nn::MultiLayerNet net(784, 10, rng, {.hidden = {50}, .batch_norm = true, .dropout = 0.1});
        optim::Adam adam(net, 0.003);
        nn::Trainer trainer(net, adam, {.epochs = 2, .data_parallel = {.communicator = &comm}});
        const nn::History& history = trainer.fit(mnist.train);
        if (comm.is_root())
          fmt::print("loss {:a}, ranks: {}\n", history.epochs.back().training.loss, comm.size());
      };
  nn::OneRank one;
  train(one);
  nn::run_on_threads(4, train);
}
