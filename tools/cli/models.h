#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/nn/layers/multi_layer_net.h>

#include <CLI/CLI.hpp>

namespace tapegrad::cli {

/// The network that --model, --hidden, --activation, --init, --batch-norm and --dropout describe.
struct ModelOptions {
  std::string model = "two-layer";
  std::vector<std::int64_t> hidden{};
  std::string activation = "relu";
  std::string init = "std:0.01";
  bool batch_norm = false;
  double dropout = 0;

  void add_to(CLI::App& command);
  /// Throws ArgumentError where the options contradict each other.
  nn::MultiLayerNet build(std::int64_t inputs, std::int64_t classes, Generator& generator,
                          std::optional<double> weight_decay = {},
                          std::optional<nn::InputStatistics> standardize = {}) const;

 private:
  std::vector<std::int64_t> hidden_widths() const;
};

}  // namespace tapegrad::cli
