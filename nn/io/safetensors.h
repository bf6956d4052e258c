#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/serialize.h>

/// The safetensors format. Not part of the library's interface: save_state and load_state_file come here.
namespace tapegrad::nn::safetensors {

/// The state's names are unique and its tensors defined.
void save(const std::string& path, const State& state, const Metadata& metadata, const SaveOptions& options);
SavedState load(const std::string& path);

/// The format's own limit keeps a damaged length from taking all memory.
inline constexpr std::uint64_t kLongestHeader = 100'000'000;

// ---- the JSON header ----

inline constexpr std::string_view kMetadata = "__metadata__";

struct Entry {
  std::string name;
  files::Element element = files::Element::f32;
  Shape shape;
  std::uint64_t begin = 0;  ///< of its bytes, from the end of the header
  std::uint64_t end = 0;
  std::string unreadable{};  ///< why no tensor can hold it; then its bytes alone are known
};

struct Header {
  std::vector<Entry> entries;
  Metadata metadata;
};

/// Throws ArgumentError for a name or a text that is not UTF-8.
std::string write_header(const Header& header);

/// The entries in the order of the text; each one's number of bytes is that of its shape, but for those of a dtype or
/// with more axes than tensors have. Throws FileError for anything but such a header: bad JSON, other structure,
/// impossible shape, a name given twice.
Header read_header(std::string_view text);

}  // namespace tapegrad::nn::safetensors
