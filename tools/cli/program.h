#pragma once

#include <CLI/CLI.hpp>

namespace tapegrad::cli {

/// Parses the arguments and runs what they ask for. Returns 2 for a wrong use and 1 for a failure, each told
/// in one line, and else what the callbacks have put into `exit_code`.
int run_program(CLI::App& app, int argc, char** argv, const int& exit_code);

/// Checks of an option's number: finite, and at least so much, or more than that.
CLI::Validator at_least(double least);
CLI::Validator above(double bound);

/// One line that says how to do better; returns 2.
int usage_error(const CLI::App& app, std::string message);

}  // namespace tapegrad::cli
