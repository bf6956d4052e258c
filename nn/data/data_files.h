#pragma once

#include <new>
#include <string>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

/// What readers of files share.
namespace tapegrad::nn::files {

/// Throws FileError unless there is such a folder.
void require_folder(const std::string& folder);

/// What `work` returns, which reads the content of `what` for this function: where it finds no memory, OutOfMemory says
/// so.
template <class Work>
auto reading(const char* function, const std::string& what, const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(fmt::format("{}: there is no memory for the content of '{}'", function, what));
  }
}

}  // namespace tapegrad::nn::files
