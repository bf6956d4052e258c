#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/tapegrad.h>

#include "state_support.h"

/// A training in which all that has a state takes part, to be interrupted and resumed.
namespace tapegrad::test {

using OptimizerMaker = std::function<std::unique_ptr<optim::Optimizer>(const nn::Sequential&)>;

/// Every rule, and those of their settings that need further moments or counts.
inline std::vector<std::pair<std::string, OptimizerMaker>> all_optimizers() {
  std::vector<std::pair<std::string, OptimizerMaker>> all;
  for (const std::string& name : optim::optimizer_names())
    all.emplace_back(name, [name](const nn::Sequential& net) {
      return optim::make_optimizer(name, net.parameters(), name == "sgd" ? 0.05 : 0.01);
    });
  all.emplace_back("sgd with momentum", [](const nn::Sequential& net) {
    return std::make_unique<optim::SGD>(net, 0.05, optim::SGDOptions{.momentum = 0.9, .nesterov = true});
  });
  all.emplace_back("rmsprop with all", [](const nn::Sequential& net) {
    return std::make_unique<optim::RMSProp>(net, 0.01,
                                            optim::RMSPropOptions{.momentum = 0.5, .centered = true});
  });
  all.emplace_back("adamw of pytorch", [](const nn::Sequential& net) {
    return std::make_unique<optim::AdamW>(net, 0.01, optim::AdamWOptions::pytorch());
  });
  return all;
}

inline const OptimizerMaker kAdam = [](const nn::Sequential& net) {
  return std::make_unique<optim::Adam>(net, 0.01);
};

/// The folder of what the suites of resumed trainings save.
inline const TemporaryFolder& files() {
  static const TemporaryFolder folder;
  return folder;
}

/// These options, and after so many updates a checkpoint.
inline nn::TrainerOptions saving_at(std::int64_t iteration, const std::string& path,
                                    nn::TrainerOptions options) {
  options.on_batch = [=](nn::Trainer& t, const nn::BatchReport& b) {
    if (b.iteration == iteration) t.save(path);
  };
  return options;
}

/// Images [n, 1, 6, 6] with an edge somewhere, and which of four directions it has.
inline nn::Dataset edges(std::int64_t n, std::uint64_t seed) {
  Generator rng(seed);
  Tensor x = randn({n, 1, 6, 6}, rng, f32, 0, 0.5);
  std::vector<std::int64_t> t;
  std::size_t at = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    t.push_back(i % 4);
    for (int row = 0; row < 6; ++row)
      for (int column = 0; column < 6; ++column, ++at)
        if (((i % 2 == 0 ? row : column) < 3) == (i % 4 < 2)) x.mutable_values<float>()[at] += 1;
  }
  return {x, Tensor::from(t), 4};
}

inline const nn::Dataset& training_edges() {  // seven batches, the last one not full
  static const nn::Dataset data = edges(63, 7);
  return data;
}
inline const nn::Dataset& validation_edges() {
  static const nn::Dataset data = edges(20, 8);
  return data;
}

/// Convolution, running statistics, both kinds of dropout, random transforms, a schedule and a plateau.
struct FullTraining {
  explicit FullTraining(const OptimizerMaker& make, nn::TrainerOptions options = {})
      : optimizer(make(net)), trainer(net, *optimizer, with_defaults(std::move(options))) {}

  static nn::TrainerOptions with_defaults(nn::TrainerOptions o) {
    o.batch = 10;
    o.seed = 3;
    o.transform = nn::Compose{nn::RandomShift(1), nn::RandomHorizontalFlip()};
    o.transform_seed = 5;
    if (!o.schedule.defined()) o.schedule = optim::warm_up(4, optim::cosine(0.02, 60));
    o.plateau = optim::ReduceOnPlateau({.factor = 0.5, .patience = 0});
    o.clip_norm = 1;
    return o;
  }
  void fit() { trainer.fit(training_edges(), validation_edges()); }

  Generator rng{1};
  nn::Sequential net{nn::Conv2d(1, 4, 3, rng, {.padding = 1}),
                     nn::BatchNorm(4),
                     nn::Relu(),
                     nn::Dropout2d(0.1, rng),
                     nn::Flatten(),
                     nn::Affine(144, 8, rng),
                     nn::Dropout(0.2, rng),
                     nn::Relu(),
                     nn::Affine(8, 4, rng)};
  std::unique_ptr<optim::Optimizer> optimizer;
  nn::Trainer trainer;
};

/// What a checkpoint holds, but for how long it took.
inline nn::State without_times(const std::string& path) {
  nn::State state = nn::load_checkpoint(path).tensors;
  std::erase_if(state, [](const auto& named) {
    return named.first.ends_with("seconds") || named.first.ends_with("per_second");
  });
  return state;
}
inline nn::State all_of(const nn::Trainer& trainer) {
  const TemporaryFolder folder;
  trainer.save(folder / "all.safetensors");
  return without_times(folder / "all.safetensors");
}

}  // namespace tapegrad::test
