#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist");
  const auto [training, validation] = mnist.train.split(mnist.train.size() / 10, 0);
  Generator rng(0);
  nn::MultiLayerNet net(784, 10, rng,
                        {.hidden = {100, 100},
                         .batch_norm = true,
                         .dropout = 0.2,
                         .weight_decay = 1e-4,
                         .standardize = nn::input_statistics(training, nn::StatisticsOf::all_features)});
  optim::AdamW adamw(net, 0.005);
  const std::int64_t updates = 20 * training.size() / 100;
  nn::TrainerOptions options{.epochs = 20,
                             .batch = 100,
                             .schedule = optim::warm_up(50, optim::cosine(0.005, updates - 50)),
                             .clip_norm = 1,
                             .patience = 5};
  options.on_epoch = [](nn::Trainer&, const nn::EpochReport& e) {
    fmt::print("epoch {:2}: loss {:.4f}, validation loss {:.4f}, accuracy {:.4f} {}\n", e.epoch,
               e.training.loss, e.validation.loss, e.validation.metric, e.best ? "*" : "");
  };
  nn::Trainer trainer(net, adamw, options);
  trainer.fit(training, validation);  // ends early after 5 epochs without a lower validation loss
  trainer.restore_best();
  fmt::print("{}: test accuracy {:.4f}\n", net.describe(), nn::evaluate(net, mnist.test).metric);
}
