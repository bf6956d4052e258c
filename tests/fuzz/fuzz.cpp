#include "fuzz.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>
#include <system_error>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

namespace tapegrad::fuzz {

InputBytes::InputBytes(std::string_view bytes)
    : file_(::memfd_create("input", MFD_CLOEXEC)), path_(fmt::format("/proc/self/fd/{}", file_)) {
  require(file_ >= 0 && ::write(file_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
          "a file in memory");
}

InputBytes::~InputBytes() { ::close(file_); }

std::string output_path(const char* end) {
  // Removed at the process's end, in whatever way it ends well.
  static const struct Folder {
    Folder() {
      const char* const memory = "/dev/shm";
      std::error_code error;
      const std::filesystem::path base = std::filesystem::is_directory(memory, error)
                                             ? std::filesystem::path(memory)
                                             : std::filesystem::temp_directory_path();
      std::string name = (base / "tapegrad-fuzz-XXXXXX").string();
      require(::mkdtemp(name.data()) != nullptr, "a folder to write to");
      path = name;
    }
    ~Folder() {
      std::error_code error;
      std::filesystem::remove_all(path, error);
    }
    std::filesystem::path path;
  } folder;
  return (folder.path / fmt::format("output{}", end)).string();
}

void require_same(const Tensor& a, const Tensor& b) {
  require(a.shape() == b.shape() && a.dtype() == b.dtype(), "shape and dtype come back");
  visit_dtype(a.dtype(), [&]<class T> {
    const std::span<const T> x = a.values<T>();
    require(x.empty() || std::memcmp(x.data(), b.values<T>().data(), x.size_bytes()) == 0,
            "elements come back");
  });
}

void require_same(const nn::SavedState& a, const nn::SavedState& b) {
  require(a.tensors.size() == b.tensors.size() && a.metadata == b.metadata, "tensors and metadata come back");
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    require(a.tensors[i].first == b.tensors[i].first, "names come back");
    require_same(a.tensors[i].second, b.tensors[i].second);
  }
}

bool try_state(std::string_view bytes) {
  nn::SavedState loaded;
  try {
    loaded = nn::load_state_file(InputBytes(bytes).path());
  } catch (const FileError&) {
    return false;
  }
  for (const char* end : {".npz", ".safetensors", ".pt"}) {
    const std::string path = output_path(end);
    try {
      nn::save_state(path, loaded.tensors, loaded.metadata);
    } catch (const ArgumentError&) {
      continue;  // a name or metadata that the format has no room for
    }
    require_same(loaded, nn::load_state_file(path));
  }
  return true;
}

}  // namespace tapegrad::fuzz
