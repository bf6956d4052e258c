#pragma once

#include <string>

/// What this program was started with; CLI11 takes seconds to parse, and is not needed for it.
namespace tapegrad::cli {

/// Of main(); they must still exist whenever the functions below are called.
void remember_arguments(int argc, char** argv);

/// Behind the last a null pointer, as exec takes them.
char* const* arguments_for_exec();

/// As a shell takes them: quoted where that needs it.
std::string command_line();

}  // namespace tapegrad::cli
