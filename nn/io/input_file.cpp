#include <system_error>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/system_call.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tapegrad::nn {

// Where close reports an interruption, Linux has closed the descriptor: a second call could hit another thread's.
files::Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

namespace files {

const char* kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

std::string errno_text() { return std::generic_category().message(errno); }

void require_file_name(const std::string& path) {
  if (path.empty()) throw FileError("the name of a file is empty");
  if (path.find('\0') != std::string::npos)
    throw FileError(fmt::format("'{}': the name of a file cannot hold a byte 0", path.c_str()));
}

}  // namespace files

InputFile::InputFile(const std::string& path) : path_(path) {
  files::require_file_name(path);
  // Without O_NONBLOCK a pipe would be waited for until somebody writes to it, before it could be refused.
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  file_ = files::Descriptor(files::retried([&] { return ::open(path.c_str(), kFlags); }));
  struct stat status {};
  const bool is_socket =
      !file_ && errno == ENXIO && ::stat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode);
  if (!is_socket && (!file_ || ::fstat(file_.get(), &status) != 0)) fail_errno("cannot be opened");
  if (!S_ISREG(status.st_mode))
    fail(fmt::format("is no regular file but {}", files::kind_of(status.st_mode)));
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void InputFile::seek(std::uint64_t position) {
  if (::lseek(file_.get(), static_cast<off_t>(position), SEEK_SET) < 0) fail_errno("cannot be read");
}

std::size_t InputFile::read_some(void* out, std::size_t bytes) {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t n =
        files::retried([&] { return ::read(file_.get(), static_cast<char*>(out) + done, bytes - done); });
    if (n < 0) fail_errno("cannot be read");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void InputFile::read(void* out, std::size_t bytes) {
  if (read_some(out, bytes) < bytes) fail("became shorter while it was read");
}

void InputFile::fail(const std::string& what) const { throw FileError(fmt::format("'{}' {}", path_, what)); }

void InputFile::fail_errno(const char* what) const { fail(fmt::format("{}: {}", what, files::errno_text())); }

}  // namespace tapegrad::nn
