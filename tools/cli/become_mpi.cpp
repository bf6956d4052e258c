#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

#include "become.h"
#include "program.h"
#include "ranks.h"

namespace tapegrad::cli {

int on_ranks(const Callback<int(nn::Communicator&)>&) {
  try {
    become({.file = "tapegrad_mpi", .target = "tapegrad_mpi", .needs = "MPI (libopenmpi-dev)"},
           arguments_for_exec());
  } catch (const FileError& e) {
    throw FileError(fmt::format("--distributed: {}", e.what()));
  }
}

}  // namespace tapegrad::cli
