#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/data/elements.h>
#include <tapegrad/nn/io/serialize.h>

/// The JSON header of a safetensors file. Not part of the library's interface.
namespace tapegrad::nn::safetensors {

inline constexpr std::string_view kMetadata = "__metadata__";

struct Entry {
  std::string name;
  files::Element element = files::Element::f32;
  Shape shape;
  std::uint64_t begin = 0;  ///< of its bytes, from the end of the header
  std::uint64_t end = 0;
};

struct Header {
  std::vector<Entry> entries;
  Metadata metadata;
};

bool is_utf8(const std::string& text);

/// Throws ArgumentError for a name or a text that is not UTF-8.
std::string write_header(const Header& header);

/// The entries in the order of the text; each one's extent of bytes is that of its shape. Throws FileError
/// for anything but such a header: bad JSON, other structure, unknown dtype, impossible shape, a name given
/// twice.
Header read_header(std::string_view text);

}  // namespace tapegrad::nn::safetensors
