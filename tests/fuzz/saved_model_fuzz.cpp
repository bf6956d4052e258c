#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/io/serialize.h>

#include "cli/saved_model.h"
#include "fuzz.h"

using namespace tapegrad;

namespace {

/// A file of a run whose network is this one, but for what lines of the input say: "KEY VALUE".
nn::Metadata changed(nn::Metadata metadata, std::string_view lines) {
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    const std::string_view line = lines.substr(at, end - at);
    const std::size_t space = std::min(line.find(' '), line.size());
    metadata[std::string(line.substr(0, space))] = line.substr(std::min(space + 1, line.size()));
    at = end + 1;
  }
  return metadata;
}

}  // namespace

/// What predict and export read beside the weights. A network that is built again takes an item.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const nn::Metadata kOfRun{
      {"--model", "two-layer"}, {"--hidden", "2"},       {"--activation", "relu"},  {"item", "3"},
      {"outputs", "2"},         {"standardize", "none"}, {"task", "classification"}};
  const std::string path = fuzz::output_path(".safetensors");
  const nn::State weights{{"affine1.weight", Tensor::ones({3, 2})},
                          {"affine1.bias", Tensor::ones({2})},
                          {"affine2.weight", Tensor::ones({2, 2})},
                          {"affine2.bias", Tensor::ones({2})}};
  try {
    nn::save_state(path, weights, changed(kOfRun, {reinterpret_cast<const char*>(data), size}));
  } catch (const ArgumentError&) {
    return 0;  // no UTF-8
  }
  try {
    const cli::SavedModel saved = cli::load_model(path);
    fuzz::require(!saved.model.net->training(), "in evaluation mode");
    fuzz::require((*saved.model.net)(Tensor::ones(saved.item.inserted(0, 1))).shape() == Shape{1, 2},
                  "as many outputs as there are");
  } catch (const FileError&) {
  }
  return 0;
}
