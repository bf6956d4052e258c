#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/file.h>
#include <tapegrad/nn/io/system_call.h>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace tapegrad::nn {

using files::Descriptor;
using files::retried;

namespace {

namespace fs = std::filesystem;

constexpr const char* kTemporaryEnd = ".tapegrad.tmp";

Descriptor open_retried(int folder, const char* name, int flags, mode_t mode = 0) {
  return Descriptor(retried([&] { return ::openat(folder, name, flags | O_CLOEXEC, mode); }));
}

/// Writes may raise these signals, which end a process by default; the error that the write reports says the same.
class WriteSignalsBlocked {
 public:
  WriteSignalsBlocked() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGPIPE);
    ::sigaddset(&signals_, SIGXFSZ);
    ::sigpending(&pending_);
    ::pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~WriteSignalsBlocked() {
    const int error = errno;
    sigset_t now;
    ::sigpending(&now);
    constexpr timespec kNoWait{};
    for (const int signal : {SIGPIPE, SIGXFSZ}) {
      if (!::sigismember(&now, signal) || ::sigismember(&pending_, signal)) continue;
      sigset_t one;
      ::sigemptyset(&one);
      ::sigaddset(&one, signal);
      ::sigtimedwait(&one, nullptr, &kNoWait);
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }
  WriteSignalsBlocked(const WriteSignalsBlocked&) = delete;
  WriteSignalsBlocked& operator=(const WriteSignalsBlocked&) = delete;

 private:
  sigset_t signals_, pending_, before_;
};

/// All of the bytes; false with errno set where they cannot be written.
bool write_all(int file, const void* data, std::size_t bytes) {
  const WriteSignalsBlocked blocked;
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = retried([&] { return ::write(file, from, bytes); });
    if (n < 0) return false;
    if (n == 0) {  // no error that POSIX knows, and no progress: another call would do the same
      errno = EIO;
      return false;
    }
    from += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

/// Makes a file's content, or a folder's names, survive a loss of power. True also for what cannot be synchronised.
bool sync(int file) {
  if (retried([&] { return ::fsync(file); }) == 0) return true;
  return errno == EINVAL || errno == ENOTSUP;
}

/// Where a path leads when its symbolic links are followed, to a file that need not exist.
struct Target {
  fs::path path;
  bool of_proc = false;  ///< it is one of /proc's descriptors, whose links are no names of files
};

Target follow_links(const std::string& given) {
  constexpr int kMostLinks = 40;  // as Linux
  Target target{given};
  for (int i = 0; i < kMostLinks; ++i) {
    std::error_code error;
    if (!fs::is_symlink(fs::symlink_status(target.path, error))) return target;
    const fs::path folder = fs::canonical(target.path.parent_path() / ".", error);
    if (folder.native().starts_with("/proc/")) {
      target = {folder / target.path.filename(), true};
      return target;
    }
    target.path = target.path.parent_path() / fs::read_symlink(target.path, error);
    if (error) throw FileError(fmt::format("'{}' cannot be followed: {}", given, error.message()));
  }
  throw FileError(fmt::format("'{}' cannot be followed: it leads through more than {} symbolic links", given,
                              kMostLinks));
}

/// The number of a descriptor of this process that /proc gives a name, or -1.
int own_descriptor(const fs::path& path) {
  std::error_code error;
  const std::string folder = path.parent_path().native();
  const std::string name = path.filename().native();
  if (!folder.starts_with(fs::canonical("/proc/self", error).native() + "/") || !folder.ends_with("/fd"))
    return -1;
  if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != std::string::npos) return -1;
  return std::stoi(name);
}

/// Only where it differs: file systems without modes refuse to set one.
bool take_mode(int file, mode_t mode) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && ((status.st_mode & 07777) == mode || ::fchmod(file, mode) == 0);
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  files::require_file_name(path_);
  const Target target = follow_links(path_);
  target_ = target.path.native();
  struct stat status {};
  const bool exists = ::stat(target_.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) fail_errno("cannot be written");
  if (target.path.filename().empty() || (exists && S_ISDIR(status.st_mode)))
    fail("is a folder; give the name of a file");
  if (target.of_proc || (exists && !S_ISREG(status.st_mode))) {
    // Found out now, but opened with the first bytes: whoever reads a pipe would take its closing for the end.
    if (const int own = own_descriptor(target.path); own >= 0) {
      const int flags = ::fcntl(own, F_GETFL);
      if (flags < 0) fail_errno("cannot be written");
      if ((flags & O_ACCMODE) == O_RDONLY) fail("is open for reading only");
      return;
    }
    if (S_ISSOCK(status.st_mode)) fail("is a socket; give the name of a file");
    if (::faccessat(AT_FDCWD, target_.c_str(), W_OK, AT_EACCESS) != 0) fail_errno("cannot be written");
    return;
  }
  name_ = target.path.filename().native();
  folder_ = open_retried(AT_FDCWD, folder_name().c_str(), O_PATH | O_DIRECTORY);
  if (!folder_) fail_errno(fmt::format("cannot be created in the folder '{}'", folder_name()));
  if (exists && ::faccessat(folder_.get(), name_.c_str(), W_OK, AT_EACCESS) != 0)
    fail_errno("exists and may not be written");
  remove_leftovers();
  create_temporary();
}

AtomicFile::~AtomicFile() { remove_temporary(); }

std::string AtomicFile::folder_name() const {
  const fs::path folder = fs::path(target_).parent_path();
  return folder.empty() ? "." : folder.native();
}

std::string AtomicFile::prefix() const {
  constexpr std::size_t kMost = 200;  // a name has up to 255 bytes
  return name_.substr(0, kMost) + ".";
}

void AtomicFile::create_temporary() {
  struct stat old {};
  const bool replaces = ::fstatat(folder_.get(), name_.c_str(), &old, 0) == 0;
  while (!create_locked(replaces)) {
  }
  if (!replaces) return;
  struct stat made {};
  if (::fstat(file_.get(), &made) != 0) fail_errno("cannot be written");
  const bool owned = (made.st_uid == old.st_uid && made.st_gid == old.st_gid) ||
                     ::fchown(file_.get(), old.st_uid, old.st_gid) == 0;
  const bool has_acl = ::getxattr(target_.c_str(), "system.posix_acl_access", nullptr, 0) > 0;
  copies_ = !owned || has_acl || old.st_nlink > 1 || !take_mode(file_.get(), old.st_mode & 07777);
}

/// False where somebody else was first.
bool AtomicFile::create_locked(bool replaces) {
  static std::atomic<unsigned> count{0};
  temporary_ = fmt::format("{}{}-{}{}", prefix(), ::getpid(), count.fetch_add(1, std::memory_order_relaxed),
                           kTemporaryEnd);
  // What replaces a file must not be readable to more people meanwhile.
  const mode_t mode = replaces ? 0600 : 0666;
  file_ = open_retried(folder_.get(), temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL, mode);
  if (!file_) {
    temporary_.clear();
    if (errno == EEXIST) return false;
    const bool forbidden = errno == EACCES || errno == EPERM;
    fail(fmt::format("cannot be saved: no temporary file can be created in the folder '{}': {}{}",
                     folder_name(), files::errno_text(),
                     forbidden
                         ? "; a new file is made there and takes the place of the older one, for which the "
                           "folder must be writable too: make it so, or save in another folder"
                         : ""));
  }
  // The lock says that this process lives. Where locks do not work, nobody else gets one either, and leaves the file.
  retried([&] { return ::flock(file_.get(), LOCK_EX); });
  struct stat made {};
  if (::fstat(file_.get(), &made) == 0 && made.st_nlink > 0) return true;
  temporary_.clear();  // taken for a leftover before it was locked
  return false;
}

/// Whoever holds no lock on a temporary file is dead.
void AtomicFile::remove_leftovers() const {
  Descriptor listed = open_retried(folder_.get(), ".", O_RDONLY | O_DIRECTORY);
  if (!listed) return;
  const std::unique_ptr<DIR, decltype([](DIR* d) { ::closedir(d); })> folder(::fdopendir(listed.get()));
  if (!folder) return;
  listed.release();
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with(prefix()) || !name.ends_with(kTemporaryEnd)) continue;
    const Descriptor file = open_retried(folder_.get(), entry->d_name, O_RDWR | O_NONBLOCK | O_NOFOLLOW);
    if (!file || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    struct stat locked {};
    struct stat named {};
    if (::fstat(file.get(), &locked) == 0 &&
        ::fstatat(folder_.get(), entry->d_name, &named, AT_SYMLINK_NOFOLLOW) == 0 && same_file(locked, named))
      ::unlinkat(folder_.get(), entry->d_name, 0);
  }
}

void AtomicFile::open_stream() {
  if (const int own = own_descriptor(target_); own >= 0) {
    file_ = Descriptor(::fcntl(own, F_DUPFD_CLOEXEC, 0));
    if (!file_) fail_errno("cannot be written");
    return;
  }
  file_ = open_retried(AT_FDCWD, target_.c_str(), O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY);
  if (!file_ && errno == ENXIO) fail("is a pipe that nobody reads; start its reader first");
  if (!file_) fail_errno("cannot be written");
  const int flags = ::fcntl(file_.get(), F_GETFL);
  if (flags < 0 || ::fcntl(file_.get(), F_SETFL, flags & ~O_NONBLOCK) < 0) fail_errno("cannot be written");
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  if (!file_) open_stream();
  if (!write_all(file_.get(), data, bytes)) fail_errno("cannot be written");
}

void AtomicFile::commit() {
  if (!file_) open_stream();
  if (!sync(file_.get())) fail_errno("cannot be written");
  if (!name_.empty()) {
    if (!copies_ && ::renameat(folder_.get(), temporary_.c_str(), folder_.get(), name_.c_str()) == 0)
      temporary_.clear();
    else if (copies_ || errno == EBUSY)  // which a file reports that is itself a mount, as of a container
      overwrite();
    else
      fail_errno("cannot be put in place");
    sync_folder();
  }
  remove_temporary();
  // Closed, and thereby unlocked, only after the renaming: until then the temporary file is in use.
  if (::close(file_.release()) != 0 && errno != EINTR) fail_errno("cannot be written");
}

/// Copies the temporary file, which is complete, over the older file.
void AtomicFile::overwrite() {
  struct stat made {};
  const Descriptor old = open_retried(folder_.get(), name_.c_str(), O_WRONLY);
  if (!old || ::fstat(file_.get(), &made) != 0) fail_errno("cannot be written");
  // Where the disk has no room for more, this says so before anything is lost. Not all file systems know it.
  if (made.st_size > 0 &&
      retried([&] { return ::fallocate(old.get(), FALLOC_FL_KEEP_SIZE, 0, made.st_size); }) != 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS)
    fail_errno("cannot be written");
  std::array<char, 1 << 16> block;
  off_t at = 0;
  ssize_t n = 0;
  bool good = true;
  while (good && (n = retried([&] { return ::pread(file_.get(), block.data(), block.size(), at); })) > 0) {
    good = write_all(old.get(), block.data(), static_cast<std::size_t>(n));
    at += n;
  }
  if (good && n == 0 && ::ftruncate(old.get(), at) == 0 && sync(old.get())) return;
  const std::string kept = std::exchange(temporary_, {});
  fail_errno(fmt::format(
      "is incomplete, all of it is in '{}' beside it until the next save: it cannot be written", kept));
}

void AtomicFile::sync_folder() const {
  const Descriptor listed = open_retried(folder_.get(), ".", O_RDONLY | O_DIRECTORY);
  // A folder may be open to changes and closed to reading.
  if (listed ? sync(listed.get()) : ::syncfs(file_.get()) == 0) return;
  fail_errno(fmt::format(
      "is in place, but may be lost with the power: its folder '{}' cannot be synchronised", folder_name()));
}

void AtomicFile::remove_temporary() noexcept {
  if (!temporary_.empty()) ::unlinkat(folder_.get(), temporary_.c_str(), 0);
  temporary_.clear();
}

void AtomicFile::fail(const std::string& what) const { throw FileError(fmt::format("'{}' {}", path_, what)); }

void AtomicFile::fail_errno(const std::string& what) const {
  fail(fmt::format("{}: {}", what, files::errno_text()));
}

}  // namespace tapegrad::nn
