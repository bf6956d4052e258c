#include "become.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include <tapegrad/gradcheck/report/shell_word.h>
#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::cli {

namespace {

/// The folder to build in, as a shell takes it: the one that a program in this folder was built in, if it still lies
/// there, else the one that the documentation builds in.
std::string build_folder(const std::filesystem::path& folder) {
  std::error_code none;
  const std::filesystem::path build = folder.parent_path();
  return std::filesystem::exists(build / "CMakeCache.txt", none)
             ? gradcheck::detail::shell_word(build.string())
             : "build/release";
}

}  // namespace

void become(const SiblingProgram& program, char* const* arguments) {
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string path = folder / program.file;
  execv(path.c_str(), arguments);
  const int error = errno;
  throw FileError(fmt::format(
      "{}: {}; {} is a program of its own, which must lie beside the command; {}cmake --build {} --target {}",
      path, std::strerror(error), program.file,
      program.needs ? fmt::format("where {} is installed, it is built by ", program.needs)
                    : "it is built by ",
      build_folder(folder), program.target));
}

}  // namespace tapegrad::cli
