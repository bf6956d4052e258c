#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/export.h>

namespace tapegrad::nn {

namespace files {

/// Owns a file descriptor.
class TAPEGRAD_API Descriptor {
 public:
  Descriptor() noexcept = default;
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(Descriptor&& o) noexcept : number_(std::exchange(o.number_, -1)) {}
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(number_, o.number_);
    return *this;
  }
  ~Descriptor();

  explicit operator bool() const noexcept { return number_ >= 0; }
  int get() const noexcept { return number_; }
  int release() noexcept { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

}  // namespace files

/// Writes a file that appears under its name complete or not at all: what is written goes to a temporary file in the
/// same folder, which commit() moves into place. Until then an older file of that name stays as it is.
///
/// A path may name more than a file:
/// - Symbolic links are followed, also to a file that is not there yet: they stay, and the file behind them changes.
/// - A pipe or a device (/dev/stdout, /dev/null, a shell's >(...)) stays, and is written to as the calls of write()
///   come; a pipe without a reader is refused.
/// - A folder or a socket is refused.
///
/// An older file's mode, owner, ACL and hard links stay. Where a new file cannot take them over (several links, an ACL,
/// an owner that this process may not give), commit() copies the finished temporary file over the old content; only if
/// the machine or the process fails during that copy can a part of the content be missing. A file that this process may
/// not write is refused, even where its folder would allow to replace it. So is one that it may write in a folder
/// where it may make no file: there is no room for the new content beside the older, which must stay until all is
/// written.
///
/// A process that is killed leaves its temporary file, PATH.*.tapegrad.tmp; the next AtomicFile of that path removes
/// it. What a living process is writing is locked (flock) and stays.
class TAPEGRAD_API AtomicFile {
 public:
  /// Throws FileError where commit() could not succeed: the folder is missing or cannot be written, the path is a
  /// folder or a write-protected file.
  explicit AtomicFile(std::string path);
  /// Without a commit, leaves nothing behind.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws FileError, for one where the disk is full.
  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Makes the content durable, then visible, then its name durable: what is reported as done survives a loss of power.
  /// Throws FileError; the older file is then still there, unless the message says otherwise.
  void commit();

 private:
  void open_stream();
  void create_temporary();
  bool create_locked(bool replaces);
  void remove_leftovers() const;
  void overwrite();
  void sync_folder() const;
  void remove_temporary() noexcept;
  std::string folder_name() const;
  /// What the temporary files of this path have in common: how their names start.
  std::string prefix() const;
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_errno(const std::string& what) const;

  std::string path_;          ///< as given
  std::string target_;        ///< with all links followed
  std::string name_;          ///< of the target in its folder; empty for what is no regular file
  std::string temporary_;     ///< in the same folder; empty where there is none
  bool copies_ = false;       ///< over the older file, which has what a new one cannot take over
  files::Descriptor folder_;  ///< so that the working directory may change meanwhile
  files::Descriptor file_;
};

/// A regular file open for reading. Every error names the file.
class TAPEGRAD_API InputFile {
 public:
  /// Throws FileError where there is no such file, it cannot be read, or it is something else: a folder, a pipe, a
  /// device. None of these is waited for.
  explicit InputFile(const std::string& path);

  std::uint64_t size() const noexcept { return size_; }  ///< bytes
  /// Goes on at this byte, counted from the start.
  void seek(std::uint64_t position);
  /// The next bytes. Throws FileError where there are fewer.
  void read(void* out, std::size_t bytes);
  /// As many of the next bytes as there are, up to `bytes`; returns their number.
  std::size_t read_some(void* out, std::size_t bytes);
  /// Throws FileError: "'PATH' WHAT".
  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[noreturn]] void fail_errno(const char* what) const;

  std::string path_;
  files::Descriptor file_;
  std::uint64_t size_ = 0;
};

}  // namespace tapegrad::nn
