#pragma once

#include <cerrno>
#include <string>

#include <sys/types.h>

#include <tapegrad/graph/export.h>

/// What both ends of files share. Not part of the library's interface.
namespace tapegrad::nn::files {

/// A system call that is made again where a signal interrupts it.
template <class Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// "a folder", "a pipe", ...: what a mode of stat says that a path is.
const char* kind_of(mode_t mode);

/// What errno says, in words.
std::string errno_text();

/// Throws FileError for a path that no file can have: the empty one, and one with a byte 0, where the system would take
/// it for ended.
void require_file_name(const std::string& path);

}  // namespace tapegrad::nn::files
