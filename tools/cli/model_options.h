#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/random.h>
#include <tapegrad/nn/sequential.h>

#include <CLI/CLI.hpp>

namespace tapegrad::cli {

/// The network that --model, --hidden, --activation and --init describe.
struct ModelOptions {
  std::string model = "two-layer";
  std::vector<std::int64_t> hidden{};
  std::string activation = "relu";
  std::string init = "std:0.01";

  void add_to(CLI::App& command);
  /// Affine layers of the hidden widths with the activation between them. Throws ArgumentError where the
  /// options contradict each other.
  nn::Sequential build(std::int64_t inputs, std::int64_t classes, Generator& generator) const;
  /// "784-50-10 relu std:0.01".
  std::string describe(std::int64_t inputs, std::int64_t classes) const;

 private:
  std::vector<std::int64_t> hidden_widths() const;
};

}  // namespace tapegrad::cli
