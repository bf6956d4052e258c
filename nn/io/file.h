#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include <tapegrad/graph/export.h>

namespace tapegrad::nn {

/// Writes a file that appears under its name complete or not at all: what is written goes to a temporary file
/// in the same folder, which commit() moves into place. Until then an older file of that name stays as it is.
class TAPEGRAD_API AtomicFile {
 public:
  /// Throws FileError where the folder is missing or cannot be written, or the path itself is a folder.
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

/// A regular file open for reading. Every error names the file.
class TAPEGRAD_API InputFile {
 public:
  /// Throws FileError where there is no such file, it cannot be read, or it is a folder or a device.
  explicit InputFile(const std::string& path);

  std::uint64_t size() const noexcept { return size_; }
  /// Goes on at this byte, counted from the start.
  void seek(std::uint64_t position);
  /// The next bytes. Throws FileError where there are fewer.
  void read(void* out, std::size_t bytes);
  /// Throws FileError: "'PATH' WHAT".
  [[noreturn]] void fail(const std::string& what) const;

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  [[noreturn]] void fail_errno(const char* what) const;

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::uint64_t size_ = 0;
};

}  // namespace tapegrad::nn
