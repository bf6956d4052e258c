#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/npy_format.h>
#include <tapegrad/nn/io/npz.h>
#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/io/text.h>
#include <tapegrad/nn/io/zip.h>

#include <fmt/format.h>

namespace tapegrad::nn::npz {

namespace {

constexpr std::string_view kSuffix = ".npy";

npy::Array read_array(zip::Reader& archive, const zip::Entry& entry) {
  zip::Content content(archive, entry);
  try {
    npy::Array array = npy::read(content);
    content.finish();
    return array;
  } catch (const files::Unrepresentable&) {
    content.finish();  // it is skipped, unless it is damaged
    throw;
  }
}

/// Why a member is no array, as far as its name leaves that open; nothing where it is one. Throws FileError where it is
/// damaged, and was one perhaps.
std::string why_no_array(zip::Reader& archive, const zip::Entry& entry) {
  if (entry.name.ends_with(kSuffix) && !entry.name.starts_with("__MACOSX/")) return {};
  if (entry.name.ends_with('/')) return "it is a folder";
  if (!entry.unreadable.empty()) return entry.unreadable;
  zip::Content content(archive, entry);
  std::string start(std::min<std::uint64_t>(entry.size, npy::kMagic.size()), '\0');
  content.read(start.data(), start.size());
  if (start == npy::kMagic) return {};
  content.finish();
  return "it does not start as an array does";
}

SavedState read_archive(const std::string& path) {
  zip::Reader archive(path, files::refusal_of_compressed(
                                "arrays", "write it again with numpy.savez, which does not compress"));
  SavedState saved;
  // A comment of another program's is no metadata of ours.
  if (archive.comment().starts_with(fmt::format("{{\"{}\":", safetensors::kMetadata)))
    saved.metadata = safetensors::read_header(archive.comment()).metadata;
  std::set<std::string> names;
  for (const zip::Entry& entry : archive.entries()) {
    std::string name = entry.name;
    if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
    try {
      if (std::string reason = why_no_array(archive, entry); !reason.empty()) {
        saved.skipped.push_back({entry.name, std::move(reason)});
        continue;
      }
      if (!files::is_utf8(name)) throw FileError("its name is not UTF-8");
      if (!names.insert(name).second) throw FileError("its name is given twice");
      npy::Array array = read_array(archive, entry);
      note_conversion(saved, name, array.element);
      saved.tensors.emplace_back(name, std::move(array.tensor));
    } catch (const files::Unrepresentable& e) {
      saved.skipped.push_back({entry.name, e.what()});
    } catch (const FileError& e) {
      throw FileError(fmt::format("array '{}': {}", name, e.what()));
    }
  }
  if (saved.tensors.empty() && !saved.skipped.empty())
    throw FileError(fmt::format("none of its {} members is an array of numbers; '{}': {}",
                                saved.skipped.size(), saved.skipped[0].name, saved.skipped[0].reason));
  return saved;
}

}  // namespace

void save(const std::string& path, const State& state, const Metadata& metadata, const SaveOptions& options) {
  constexpr std::size_t kLongestName = zip::kLongestText - kSuffix.size();
  for (const auto& [name, tensor] : state) {
    if (!files::is_utf8(name))
      throw ArgumentError(fmt::format("save_state: the text '{}' is not UTF-8", name));
    // Python takes the byte 0 for the end of a name.
    if (name.find('\0') != std::string::npos || name.size() > kLongestName)
      throw ArgumentError(fmt::format(
          "save_state: a name in a .npz file has up to {} bytes and no byte 0; one of {} bytes is given",
          kLongestName, name.size()));
  }
  const std::string comment = metadata.empty() ? "" : safetensors::write_header({{}, metadata});
  if (comment.size() > zip::kLongestText)
    throw ArgumentError(fmt::format(
        "save_state: the metadata takes {} bytes, a .npz file has room for {}; save as .safetensors",
        comment.size(), zip::kLongestText));
  if (options.floats == SavedFloats::bf16) npy::refuse_bf16("save_state");
  AtomicFile file(path);
  zip::Writer archive(file);
  for (const auto& [name, tensor] : state) {
    const files::Element element = files::saved_element(tensor.dtype(), options);
    std::string converted;
    archive.add(name + std::string(kSuffix), npy::header_of(tensor.shape(), element),
                files::elements_of(tensor, element, converted));
  }
  archive.finish(comment);
  file.commit();
}

SavedState load(const std::string& path) {
  try {
    return read_archive(path);
  } catch (const FileError& e) {
    throw FileError(fmt::format("'{}' cannot be read as a .npz file: {}", path, e.what()));
  }
}

}  // namespace tapegrad::nn::npz
