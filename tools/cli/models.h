#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/layers/standardize.h>
#include <tapegrad/optim/parameters.h>

#include <CLI/CLI.hpp>

/// The networks that the commands know by name.
namespace tapegrad::cli {

/// What --model, --hidden, --activation, --init, --batch-norm and --dropout say, and what the command adds.
struct ModelOptions {
  std::string model = "two-layer";
  std::vector<std::int64_t> hidden{};  ///< empty: as the model has it by default
  std::string activation = "relu";
  std::string init = "std:0.01";
  bool batch_norm = false;
  double dropout = 0;

  std::optional<double> weight_decay{};
  std::optional<nn::InputStatistics> standardize{};

  void add_to(CLI::App& command);
};

/// A network [n, inputs] -> [n, classes] and what a command needs to know of it.
struct Model {
  std::unique_ptr<nn::Module> net;
  std::string description;        ///< as in "784-50-10 relu std:0.01, weight decay 0.0001"
  optim::ParameterGroups groups;  ///< for an optimizer
};

/// Throws ArgumentError where the options contradict each other.
Model build_model(const ModelOptions& options, std::int64_t inputs, std::int64_t classes,
                  Generator& generator);

}  // namespace tapegrad::cli
