#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/standardize.h>
#include <tapegrad/optim/parameters.h>

#include <CLI/CLI.hpp>

/// The networks that the commands know by name.
namespace tapegrad::cli {

/// What --model, --layers, --hidden, --activation, --init, --batch-norm and --dropout say, and what the command adds.
struct ModelOptions {
  std::string model = "two-layer";
  std::string layers{};                ///< words, in place of a model
  std::vector<std::int64_t> hidden{};  ///< empty: as the model has it by default
  std::string activation = "relu";
  std::string init{};  ///< empty: as the model has it by default
  bool batch_norm = false;
  std::optional<double> dropout{};

  std::optional<double> weight_decay{};
  std::optional<nn::InputStatistics> standardize{};

  void add_to(CLI::App& command);
  /// Whether the network takes images [channels, h, w] as they are, not as vectors.
  bool takes_images() const;
};

/// A network [n, item...] -> [n, classes] and what a command needs to know of it.
struct Model {
  std::unique_ptr<nn::Module> net;
  std::string description;        ///< as in "784-50-10 relu std:0.01, weight decay 0.0001"
  optim::ParameterGroups groups;  ///< for an optimizer
};

/// For items of this shape: [784], or [1, 28, 28] where the network takes images. Throws ArgumentError where the
/// options contradict each other, and what the network's layers throw.
Model build_model(const ModelOptions& options, const Shape& item, std::int64_t classes, Generator& generator);

}  // namespace tapegrad::cli
