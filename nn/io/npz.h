#pragma once

#include <string>

#include <tapegrad/nn/io/serialize.h>

/// NumPy's archives of arrays. Not part of the library's interface: save_state and load_state_file come here.
namespace tapegrad::nn::npz {

/// The state's names are unique and its tensors defined.
void save(const std::string& path, const State& state, const Metadata& metadata, const SaveOptions& options);

SavedState load(const std::string& path);

}  // namespace tapegrad::nn::npz
