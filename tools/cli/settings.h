#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/nn/io/serialize.h>

#include <CLI/CLI.hpp>

/// The options of a command as text, which a run saves and goes on with.
namespace tapegrad::cli {

/// The option that names a run to go on with.
inline constexpr std::string_view kResume = "--resume";
/// What is saved beside the options: the columns of the table.
inline constexpr const char* kTable = "table";

/// All that the command was told, and what it took where nothing was said: pairs of an option's name, as "--lr", and
/// its value.
std::vector<std::pair<std::string, std::string>> settings_of(const CLI::App& command);

/// Gives the options that were not given the values that a run was started with, but for those that `not_restored`
/// names. Throws ArgumentError that lists those that were given other values, but for kResume and options that
/// `may_change` names, and for a name that is neither kTable nor one of the command's.
void restore_settings(CLI::App& command, const nn::Metadata& saved,
                      const std::vector<std::string_view>& may_change,
                      const std::vector<std::string_view>& not_restored);

}  // namespace tapegrad::cli
