#pragma once

#include <string>

#include <CLI/CLI.hpp>

/// The subcommands of `tapegrad`. Each adds itself to the application and leaves its exit code where
/// `exit_code` points once it has run: 0 done, 1 failed, 2 wrong usage; its help tells where there are more.
namespace tapegrad::cli {

void add_train_command(CLI::App& app, int& exit_code);
void add_predict_command(CLI::App& app, int& exit_code);
void add_export_command(CLI::App& app, int& exit_code);
/// `program`: what was typed to start it.
void add_gradcheck_command(CLI::App& app, int& exit_code, const std::string& program);
void add_graph_command(CLI::App& app, int& exit_code);

}  // namespace tapegrad::cli
