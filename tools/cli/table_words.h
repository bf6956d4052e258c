#pragma once

#include <string_view>

#include <tapegrad/graph/callback.h>
#include <tapegrad/nn/data/csv.h>

/// What the library says of a table, in the command's words.
namespace tapegrad::cli {

/// Reads a table. What is thrown on the way names options of the command where the library names its own; in front of
/// them stands `command`, as "train ", where another command than the one that runs has them.
nn::Table read_in_words_of_command(const Callback<nn::Table()>& read, std::string_view command = "");

}  // namespace tapegrad::cli
