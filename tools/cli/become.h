#pragma once

namespace tapegrad::cli {

/// A part of the command that is a program of its own, since it takes long to compile or is linked with libraries that
/// nothing else of the command loads.
struct SiblingProgram {
  const char* file;             ///< lies in the folder of the running program
  const char* target;           ///< what CMake builds it by
  const char* needs = nullptr;  ///< what has to be installed before it is built, where that may be missing
};

/// Becomes that program, with these arguments as exec takes them: it has this process, its streams and its exit code.
/// Throws FileError where it cannot: which program, where it was looked for, and how it is built.
[[noreturn]] void become(const SiblingProgram& program, char* const* arguments);

}  // namespace tapegrad::cli
