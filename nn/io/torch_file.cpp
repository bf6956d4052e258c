#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/pickle.h>
#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/io/torch_dict.h>
#include <tapegrad/nn/io/torch_file.h>
#include <tapegrad/nn/io/torch_names.h>
#include <tapegrad/nn/io/zip.h>

#include <fmt/format.h>

namespace tapegrad::nn::torch_file {

using tapegrad::detail::TensorAccess;

namespace {

constexpr std::string_view kPickle = "data.pkl";
/// How PyTorch before 1.6 started its files: with a pickle of one number.
constexpr std::string_view kLegacyStart("\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", 15);

bool is_in_folder(std::string_view name, std::string_view file) {
  return name == file ||
         (name.size() > file.size() && name.ends_with(file) && name[name.size() - file.size() - 1] == '/');
}

class Archive {
 public:
  explicit Archive(const std::string& path)
      : zip_(path, files::refusal_of_compressed("tensors",
                                                "write it again with torch.save, which does not compress")) {
    const auto found = std::ranges::find_if(
        zip_.entries(), [](const zip::Entry& e) { return is_in_folder(e.name, kPickle); });
    if (found == zip_.entries().end()) throw FileError("it has no member data.pkl, which torch.save writes");
    prefix_ = found->name.substr(0, found->name.size() - kPickle.size());
    pickle_ = &*found;
    for (const zip::Entry& e : zip_.entries())
      if (e.name.starts_with(prefix_) &&
          !members_.emplace(std::string_view(e.name).substr(prefix_.size()), &e).second)
        throw FileError(fmt::format("it has two members '{}'", e.name));
    if (members_.contains("constants.pkl"))
      throw FileError(
          "it is a TorchScript program; save its tensors alone: in Python, "
          "torch.save(torch.jit.load(path).state_dict(), other_path)");
  }

  zip::Reader& zip() { return zip_; }

  const zip::Entry* find(std::string_view name) const {
    const auto found = members_.find(name);
    return found == members_.end() ? nullptr : found->second;
  }

  /// All bytes of a member.
  std::string text(const zip::Entry& entry, std::uint64_t longest) {
    if (entry.size > longest)
      throw FileError(fmt::format("its member '{}' claims {} bytes; at most {} are read", entry.name,
                                  entry.size, longest));
    zip::Content content(zip_, entry);
    content.announce(entry.size);
    std::string bytes(entry.size, '\0');
    content.read(bytes.data(), bytes.size());
    content.finish();
    return bytes;
  }
  std::string pickle() {
    // Objects take more memory than their text, which might be a thousand times as long as it is packed.
    std::uint64_t packed = 0;
    for (const zip::Entry& e : zip_.entries()) packed += e.packed;
    return text(*pickle_, std::min(std::max<std::uint64_t>(packed, 65'536), pickle::kLongest));
  }

  bool big_endian() {
    const zip::Entry* entry = find("byteorder");
    if (!entry) return false;
    const std::string order = text(*entry, 16);
    if (order != "little" && order != "big")
      throw FileError(fmt::format("its member '{}' says '{}', expected little or big", entry->name, order));
    return order == "big";
  }

 private:
  zip::Reader zip_;
  std::string prefix_;
  const zip::Entry* pickle_ = nullptr;
  std::map<std::string_view, const zip::Entry*> members_;
};

// ---- views of storages ----

/// Whether the view is the whole storage in its order.
bool is_whole(const TensorView& v) {
  std::int64_t expected = 1;
  for (std::size_t i = v.shape.rank(); i > 0; --i) {
    if (v.shape[i - 1] != 1 && v.strides[i - 1] != expected) return false;
    expected *= v.shape[i - 1];
  }
  return v.offset == 0 && static_cast<std::uint64_t>(v.shape.size()) == v.storage_size;
}

double negative_of(double value) { return -value; }
float negative_of(float value) { return -value; }
/// Of the least one itself, as in PyTorch; torch_dict.cpp refuses narrower integers.
std::int64_t negative_of(std::int64_t value) {
  return static_cast<std::int64_t>(0 - static_cast<std::uint64_t>(value));
}

Tensor copy_of_view(const Tensor& storage, const TensorView& v) {
  Tensor result = Tensor::empty(v.shape, storage.dtype());
  if (v.shape.size() == 0) return result;
  visit_dtype(storage.dtype(), [&]<class T> {
    const T* const from = TensorAccess::data_as<T>(storage);
    // Unsigned, as a stride of an axis of one element may be any number.
    auto at = static_cast<std::uint64_t>(v.offset);
    T* to = TensorAccess::data_as<T>(result);
    T* const end = to + v.shape.size();
    std::vector<std::int64_t> index(v.shape.rank());
    while (true) {
      *to++ = v.negative ? negative_of(from[at]) : from[at];
      if (to == end) return;
      // The last axis goes on; one that is through starts again, and the axis before it goes on.
      for (std::size_t axis = v.shape.rank(); axis > 0; --axis) {
        at += static_cast<std::uint64_t>(v.strides[axis - 1]);
        if (++index[axis - 1] < v.shape[axis - 1]) break;
        at -= static_cast<std::uint64_t>(v.strides[axis - 1]) * static_cast<std::uint64_t>(v.shape[axis - 1]);
        index[axis - 1] = 0;
      }
    }
  });
  return result;
}

/// All tensors of one storage.
class StorageReader {
 public:
  StorageReader(Archive& archive, bool big_endian) : archive_(archive), big_endian_(big_endian) {}

  /// The storage of this view, as a tensor of one axis.
  Tensor read(const TensorView& v) {
    const zip::Entry& entry = entry_of(v);
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(v.storage_size, std::uint64_t{size_of(v.element)}, &bytes) ||
        bytes != entry.size)
      throw FileError(
          fmt::format("its storage has {} elements of {} bytes, its member '{}' of the archive {} bytes",
                      v.storage_size, size_of(v.element), entry.name, entry.size));
    zip::Content content(archive_.zip(), entry);
    const Shape shape{static_cast<std::int64_t>(v.storage_size)};
    elements_ += v.storage_size;
    bytes_ += bytes;
    try {
      Tensor storage = read_elements(content, shape, v.element, big_endian_);
      content.finish();
      return storage;
    } catch (const files::Unrepresentable&) {
      content.finish();  // it is skipped, unless it is damaged
      throw;
    }
  }

  Tensor view(const Tensor& storage, const TensorView& v) {
    if (is_whole(v) && !v.negative) return TensorAccess::view(storage, 0, v.shape);
    // A view may repeat elements, and there may be any number of views.
    const auto count = static_cast<std::uint64_t>(v.shape.size());
    copied_ += count;
    copied_bytes_ += count * size_of(storage.dtype());
    if (copied_ / 4 > elements_ + 16'384 || copied_bytes_ / 8 > bytes_ + 65'536)
      throw FileError(
          "it and others share elements, each repeated many times, which would take much memory; save copies: "
          "in Python, tensor.clone()");
    archive_.zip().announce(entry_of(v), count * size_of(storage.dtype()));
    return copy_of_view(storage, v);
  }

 private:
  const zip::Entry& entry_of(const TensorView& v) const {
    const zip::Entry* const entry = archive_.find(fmt::format("data/{}", v.storage));
    if (!entry) throw FileError(fmt::format("its storage '{}' is no member of the archive", v.storage));
    return *entry;
  }

  Archive& archive_;
  bool big_endian_;
  std::uint64_t elements_ = 0;
  std::uint64_t bytes_ = 0;  ///< of the file; small elements are widened
  std::uint64_t copied_ = 0;
  std::uint64_t copied_bytes_ = 0;
};

SavedState read_archive(const std::string& path) {
  Archive archive(path);
  SavedState saved;
  if (const zip::Entry* entry = archive.find(kMetadataMember))
    saved.metadata = safetensors::read_header(archive.text(*entry, safetensors::kLongestHeader)).metadata;
  Contents contents = read_dict(pickle::Document(archive.pickle(), archive.zip().size(), find_name));
  saved.metadata.merge(contents.metadata);
  saved.skipped = std::move(contents.skipped);

  std::map<std::pair<std::string_view, files::Element>, std::vector<std::size_t>> by_storage;
  for (std::size_t i = 0; i < contents.tensors.size(); ++i)
    by_storage[{contents.tensors[i].storage, contents.tensors[i].element}].push_back(i);
  StorageReader reader(archive, archive.big_endian());
  std::vector<Tensor> tensors(contents.tensors.size());
  std::vector<std::string> reasons(contents.tensors.size());
  for (const auto& [key, indices] : by_storage) {
    Tensor storage;
    for (const std::size_t i : indices) {
      const TensorView& v = contents.tensors[i];
      try {
        if (v.storage_size != contents.tensors[indices[0]].storage_size)
          throw FileError(fmt::format("its storage has {} elements, and {} for '{}'", v.storage_size,
                                      contents.tensors[indices[0]].storage_size,
                                      contents.tensors[indices[0]].name));
        if (!reasons[indices[0]].empty())
          reasons[i] = reasons[indices[0]];
        else if (!storage.defined())
          storage = reader.read(v);
        if (storage.defined()) tensors[i] = reader.view(storage, v);
      } catch (const files::Unrepresentable& e) {
        reasons[i] = e.what();
      } catch (const FileError& e) {
        throw FileError(fmt::format("'{}': {}", v.name, e.what()));
      }
    }
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::string& name = contents.tensors[i].name;
    if (tensors[i].defined()) {
      note_conversion(saved, name, contents.tensors[i].element);
      saved.tensors.emplace_back(std::move(name), std::move(tensors[i]));
    } else {
      saved.skipped.push_back({std::move(name), std::move(reasons[i])});
    }
  }
  if (saved.tensors.empty() && !saved.skipped.empty())
    throw FileError(fmt::format("it has no tensor that can be read; '{}': {}", saved.skipped[0].name,
                                saved.skipped[0].reason));
  return saved;
}

}  // namespace

bool is_file(const std::string& path, std::string_view start) {
  if (start.starts_with(kLegacyStart)) return true;
  if (!start.starts_with(zip::kMagic)) return false;
  // The first member's name, as far as it is among these bytes.
  constexpr std::size_t kNameSize = 26;
  constexpr std::size_t kName = 30;
  if (start.size() > kName) {
    const std::size_t size = static_cast<unsigned char>(start[kNameSize]) |
                             std::size_t{static_cast<unsigned char>(start[kNameSize + 1])} << 8;
    const std::string_view name = start.substr(kName, size);
    if (is_in_folder(name, kPickle)) return true;
    if (name.ends_with(".npy")) return false;
  }
  try {
    return std::ranges::any_of(zip::Reader(path, {}).entries(),
                               [](const zip::Entry& e) { return is_in_folder(e.name, kPickle); });
  } catch (const FileError&) {
    return false;  // whoever reads it says what is wrong
  }
}

SavedState load(const std::string& path) {
  try {
    {
      InputFile file(path);
      std::string start(std::min<std::uint64_t>(file.size(), kLegacyStart.size()), '\0');
      file.read(start.data(), start.size());
      if (start == kLegacyStart)
        throw FileError(
            "it is in the format of PyTorch before 1.6, which is no archive; save it again: in Python, "
            "torch.save(torch.load(path), other_path)");
    }
    return read_archive(path);
  } catch (const FileError& e) {
    throw FileError(fmt::format("'{}' cannot be read as a PyTorch file: {}", path, e.what()));
  }
}

}  // namespace tapegrad::nn::torch_file
