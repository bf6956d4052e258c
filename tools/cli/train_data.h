#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tapegrad/nn/data/data.h>
#include <tapegrad/nn/train/evaluate.h>

#include <CLI/CLI.hpp>

/// What a network learns from: images in MNIST's format, or a table.
namespace tapegrad::cli {

/// What the options say of the data.
struct DataOptions {
  std::string folder;
  std::string csv;
  std::string test_csv;
  double test = 0.2;
  std::vector<std::string> targets;
  std::string task;
  std::vector<std::string> one_hot;
  std::vector<std::string> unused;
  std::string missing = "error";
  std::string delimiter = ",";
  bool no_header = false;

  void add_to(CLI::App& command);
  bool is_table() const { return !csv.empty(); }
};

struct TrainData {
  nn::Dataset train{};
  nn::Dataset test{};
  const char* items = "images";
  const char* loss = "cross entropy";
  const char* metric = "accuracy";
  std::int64_t outputs = 0;                    ///< numbers that a network gives for an item
  nn::Objective objective{};                   ///< softmax_with_loss and accuracy, unless `units` are given
  std::optional<nn::InputStatistics> units{};  ///< of the training targets, where numbers are predicted
  std::optional<nn::CsvFormat> format{};       ///< of the table
};

/// Images [784], or [1, 28, 28] where the network takes images, or rows [features]. Of a table without --test-csv, rows
/// that the seed chooses are test data. A run that goes on reads a table as before: columns by their names, and the same
/// numbers for the same categories. Throws ArgumentError where options contradict each other, and what load_mnist and
/// read_csv throw.
TrainData load_data(const DataOptions& options, bool takes_images, std::uint64_t seed,
                    const std::optional<nn::CsvFormat>& of_run);

}  // namespace tapegrad::cli
