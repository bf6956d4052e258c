#pragma once

#include <optional>
#include <string>

#include <tapegrad/nn/data/csv.h>
#include <tapegrad/nn/io/serialize.h>

#include <CLI/CLI.hpp>

#include "models.h"
#include "train_data.h"

/// Networks that a run has saved, with what is needed to build them again.
namespace tapegrad::cli {

/// What is saved beside the parameters of a network that the command was told to build for these data.
nn::Metadata metadata_of(const CLI::App& command, const Model& model, const TrainData& data);

/// The network's outputs in the units of the targets: y stddev + mean, as a layer behind it.
void append_units(Model& model, const nn::InputStatistics& units);

struct SavedModel {
  Model model;                            ///< in evaluation mode
  Shape item;                             ///< of its inputs
  std::optional<nn::CsvFormat> format{};  ///< of the table that it was trained on
};

/// The file of a run's folder that has the last parameters, or those of the best epoch. Throws ArgumentError for a run
/// that has told no epoch from others.
std::string parameters_file(const std::string& run, bool best);
/// Builds the network again. Throws FileError for a file that `train` has not written.
SavedModel load_model(const std::string& path);

}  // namespace tapegrad::cli
