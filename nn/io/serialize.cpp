#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/data/data_files.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy_format.h>
#include <tapegrad/nn/io/npz.h>
#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/io/torch_file.h>
#include <tapegrad/nn/io/zip.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

void require_saveable(const State& state, const SaveOptions& options) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : state) {
    if (!tensor.defined()) throw ArgumentError(fmt::format("save_state: '{}' is an undefined tensor", name));
    if (name == safetensors::kMetadata)
      throw ArgumentError(fmt::format("save_state: the name '{}' is reserved by the file format", name));
    if (!names.insert(name).second)
      throw ArgumentError(fmt::format("save_state: the name '{}' is given twice", name));
    files::require_representable("save_state", fmt::format("'{}'", name), tensor,
                                 files::saved_element(tensor.dtype(), options));
  }
}

/// The first bytes of a file, as many as it has.
using Start = std::string_view;

/// Whether a file starts with a length, as safetensors files do.
bool starts_with_length(Start start) {
  std::uint64_t length = 0;
  if (start.size() < sizeof length) return false;
  std::memcpy(&length, start.data(), sizeof length);
  return length <= safetensors::kLongestHeader;
}

/// Whether it starts with one of these texts. A length may look like the first bytes of a text, but as a number no text
/// is as small as a length.
bool starts_with(Start start, std::initializer_list<std::string_view> texts) {
  return !starts_with_length(start) &&
         std::ranges::any_of(texts, [&](std::string_view text) { return start.starts_with(text); });
}

void refuse_to_save_npy(const std::string& path, const State&, const Metadata&, const SaveOptions&) {
  throw ArgumentError(fmt::format(
      "save_state: '{}' would hold one array without a name; take .npz, or save_npy for a tensor", path));
}

/// The formats: by its ending a path is saved in one, and the last takes all endings; by its first bytes a file is
/// found to be of one, and an archive by what it holds. A new one is a row, with functions that save and load.
constexpr struct {
  std::string_view ending;
  bool (*is_file)(const std::string& path, Start start);
  void (*save)(const std::string& path, const State& state, const Metadata& metadata,
               const SaveOptions& options);
  SavedState (*load)(const std::string& path);
} kFormats[] = {
    {".pt", torch_file::is_file, torch_file::save, torch_file::load},
    {".pth", torch_file::is_file, torch_file::save, torch_file::load},
    {".npz",
     [](const std::string&, Start s) {
       return starts_with(s, {zip::kMagic, zip::kMagicOfNone});
     },
     npz::save, npz::load},
    {".npy", [](const std::string&, Start s) { return starts_with(s, {npy::kMagic}); }, refuse_to_save_npy,
     npy::load},
    {"", [](const std::string&, Start s) { return starts_with_length(s); }, safetensors::save,
     safetensors::load},
};

/// By the ending of the path.
const auto* format_of(const std::string& path) {
  return std::ranges::find_if(kFormats, [&](const auto& f) { return path.ends_with(f.ending); });
}

}  // namespace

std::string to_string(const ConvertedTensor& c) {
  return fmt::format("'{}' from {} to {}", c.name, c.from, name_of(c.to));
}

void save_state(const std::string& path, const State& state, const Metadata& metadata,
                const SaveOptions& options) {
  require_saveable(state, options);
  format_of(path)->save(path, state, metadata, options);
}

SavedState load_state_file(const std::string& path) {
  std::array<char, 512> bytes{};
  std::size_t count = 0;
  {
    InputFile file(path);
    count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), file.size()));
    file.read(bytes.data(), count);
  }
  const Start start(bytes.data(), count);
  const auto* found = std::ranges::find_if(kFormats, [&](const auto& f) { return f.is_file(path, start); });
  // What starts as none is read as what it is called, so that the error says what is wrong with that.
  const auto load = (found == std::end(kFormats) ? format_of(path) : found)->load;
  return files::reading("load_state_file", path, [&] { return load(path); });
}

}  // namespace tapegrad::nn
