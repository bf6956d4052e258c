#pragma once

#include <CLI/CLI.hpp>

/// The subcommands of `tapegrad`. Each adds itself to the application and leaves its exit code where
/// `exit_code` points once it has run: 0 done, 1 failed, 2 wrong usage; its help tells where there are more.
namespace tapegrad::cli {

void add_train_command(CLI::App& app, int& exit_code);
void add_predict_command(CLI::App& app, int& exit_code);
void add_export_command(CLI::App& app, int& exit_code);
void add_graph_command(CLI::App& app, int& exit_code);

/// Of `tapegrad gradcheck`, which is a program of its own: in the list of commands, and at the head of its help.
inline constexpr const char* kGradcheckDescription =
    "Check the derivatives of every op and module against finite differences in double";

}  // namespace tapegrad::cli
