#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <limits>
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
/// Of an option's whole number, in decimal digits.
inline constexpr std::int64_t kMostWhole = std::numeric_limits<std::int64_t>::max();
CLI::Validator whole(std::int64_t least, std::int64_t most = kMostWhole);
/// Of --threads: what set_threads takes.
CLI::Validator number_of_threads();

/// For an option that names something: an empty word, as of a shell's variable without a value, names nothing.
CLI::Validator not_empty();

/// For an option that names a folder to write: neither an empty word nor "-".
CLI::Validator folder_to_write();

/// For an option that names a file to write: "-" is the standard output. No empty word.
CLI::Validator file_to_write();
/// Where to say what has been written there: the standard error where the file is the standard output.
std::FILE* beside(const std::string& path);
/// Its name for a message: the path, or "the standard output".
std::string written_name(const std::string& path);
/// Throws ArgumentError where the file that an option is to write is one of those that are read, by whatever name.
void require_other_file(const char* option, const std::string& written,
                        std::initializer_list<std::string> read);

/// Throws ArgumentError where the file that an option is to write is a new or a regular one, whose name ends in none of
/// these (".onnx", small letters or not), of which `what` ("the model is ONNX") proposes the first.
void require_extension(const char* option, const std::string& written,
                       std::initializer_list<std::string_view> extensions, const char* what);
/// Of a file's name, in small letters: ".svg" of PICTURE.SVG.
std::string extension_of(const std::string& path);

/// What a file says may be part of a message: as text that no terminal takes for commands.
std::string printable(std::string_view message);

/// One line that says how to do better; returns 2.
int usage_error(const CLI::App& app, std::string message);

}  // namespace tapegrad::cli
