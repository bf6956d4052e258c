#pragma once

#include <string>
#include <string_view>

#include <tapegrad/nn/io/serialize.h>

/// PyTorch's files of torch.save: a zip archive with a pickle of the dictionary, "data.pkl", and a member of bytes
/// for each storage. Not part of the library's interface: save_state and load_state_file come here.
namespace tapegrad::nn::torch_file {

/// Whether a file that starts so is one of PyTorch's, of today or of before 2020; its list of members is read only
/// where that is an archive which does not start as torch.save starts it.
bool is_file(const std::string& path, std::string_view start);

/// The state's names are unique and its tensors defined.
void save(const std::string& path, const State& state, const Metadata& metadata, const SaveOptions& options);

SavedState load(const std::string& path);

/// The member of an archive, beside its pickle, that holds what save_state writes of metadata.
inline constexpr std::string_view kMetadataMember = "extra/metadata.json";

}  // namespace tapegrad::nn::torch_file
