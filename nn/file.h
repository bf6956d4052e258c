#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>

namespace tapegrad::nn {

/// Writes a file that appears under its name complete or not at all: what is written goes to a temporary file
/// in the same folder, which commit() moves into place. Until then an older file of that name stays as it is.
class TAPEGRAD_API AtomicFile {
 public:
  /// Throws FileError where the folder is missing or cannot be written.
  explicit AtomicFile(std::string path);
  /// Without a commit, leaves nothing behind.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws FileError, for one where the disk is full.
  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Makes the content durable, then visible. Throws FileError; the older file is then still there.
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace tapegrad::nn
