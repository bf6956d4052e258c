#pragma once

#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

namespace tapegrad::cli {

/// Parses the arguments and runs what they ask for. Returns 2 for a wrong use and 1 for a failure, each told
/// in one line, and else what the callbacks have put into `exit_code`. Remembers the arguments (arguments.h).
int run_program(CLI::App& app, int argc, char** argv, const int& exit_code);

/// Checks of an option's number: finite, and at least so much, or more than that.
CLI::Validator at_least(double least);
CLI::Validator above(double bound);

/// For an option that names a file to write: "-" is the standard output.
CLI::Validator file_to_write();
/// Where to say what has been written there: the standard error where the file is the standard output.
std::FILE* beside(const std::string& path);
/// Throws ArgumentError where the file that an option is to write is one of those that are read, by whatever name.
void require_other_file(const char* option, const std::string& written,
                        std::initializer_list<std::string> read);

/// What a file says may be part of a message: as text that no terminal takes for commands.
std::string printable(std::string_view message);

/// One line that says how to do better; returns 2.
int usage_error(const CLI::App& app, std::string message);

}  // namespace tapegrad::cli
