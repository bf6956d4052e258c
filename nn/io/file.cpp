#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tapegrad::nn {

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  // What commit() would find out, when the work is done.
  struct stat status {};
  if (path_.empty()) throw FileError("a file is to be written, and its name is empty");
  if (::stat(path_.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    throw FileError(fmt::format("'{}' is a folder; give the name of a file", path_));
  static std::atomic<unsigned> count{0};
  do {
    temporary_ =
        fmt::format("{}.{}-{}.tmp", path_, ::getpid(), count.fetch_add(1, std::memory_order_relaxed));
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail("cannot be created in its folder");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(descriptor_, from, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot be written");
    from += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("cannot be written");
  // Some file systems report a full disk only here.
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("cannot be written");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be put in place");
  temporary_.clear();
}

void AtomicFile::fail(const char* what) const {
  const int error = errno;
  throw FileError(fmt::format("'{}' {}: {}", path_, what, std::generic_category().message(error)));
}

InputFile::InputFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
  struct stat status {};
  if (!file_ || ::fstat(::fileno(file_.get()), &status) != 0) fail_errno("cannot be opened");
  if (!S_ISREG(status.st_mode)) fail("is no regular file");
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void InputFile::seek(std::uint64_t position) {
  if (::fseeko(file_.get(), static_cast<off_t>(position), SEEK_SET) != 0) fail_errno("cannot be read");
}

void InputFile::read(void* out, std::size_t bytes) {
  if (std::fread(out, 1, bytes, file_.get()) == bytes) return;
  if (std::ferror(file_.get())) fail_errno("cannot be read");
  fail("became shorter while it was read");
}

void InputFile::fail(const std::string& what) const { throw FileError(fmt::format("'{}' {}", path_, what)); }

void InputFile::fail_errno(const char* what) const {
  fail(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

}  // namespace tapegrad::nn
