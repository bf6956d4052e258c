#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

#include "program.h"
#include "ranks.h"

namespace tapegrad::cli {

int on_ranks(const Callback<int(nn::Communicator&)>&) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string program = self.parent_path() / "tapegrad_mpi";
  execv(program.c_str(), arguments_for_exec());
  throw FileError(fmt::format(
      "--distributed: {}: {}; it is built where MPI is installed (libopenmpi-dev), and must lie beside the command",
      program, std::strerror(errno)));
}

}  // namespace tapegrad::cli
