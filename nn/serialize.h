#pragma once

#include <map>
#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/state.h>

namespace tapegrad::nn {

/// Free text stored beside the tensors, by key.
using Metadata = std::map<std::string, std::string>;

struct SavedState {
  State tensors;  ///< in the order in which they were saved
  Metadata metadata;
};

/// Writes named tensors in the safetensors format: the length of the header as a little-endian 64-bit
/// integer, the header as JSON (dtype, shape and place of each tensor; "__metadata__"), the elements
/// (https://github.com/huggingface/safetensors). The file appears complete or not at all, and until then an
/// older one stays. Throws ArgumentError for a name that is given twice, reserved or not UTF-8 and for an
/// undefined tensor, FileError where the file cannot be written.
TAPEGRAD_API void save_state(const std::string& path, const State& state, const Metadata& metadata = {});

/// Reads such a file, of f32, f64 and i64 tensors. Throws FileError for one that is missing, truncated,
/// damaged or of another kind, saying what is wrong with which tensor.
TAPEGRAD_API SavedState load_state_file(const std::string& path);

}  // namespace tapegrad::nn
