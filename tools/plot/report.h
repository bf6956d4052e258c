#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/train/evaluate.h>

#include "convolutions.h"
#include "images.h"
#include "picture.h"

namespace tapegrad::plot {

/// One epoch of a training, as the curves show it. The metric is the accuracy.
struct ReportRow {
  std::int64_t epoch = 0;
  std::int64_t iteration = 0;
  nn::Score training;
  nn::Score test;
  nn::Score validation{};  ///< NaN: nothing was held out
};

/// Items of one class that were taken for another.
struct Confusion {
  std::int64_t truth = 0;
  std::int64_t found = 0;
  std::int64_t count = 0;
  std::int64_t total = 0;       ///< items of the class
  std::vector<Image> images{};  ///< some of those that were confused, with labels
};

/// What is known of a finished training.
struct TrainingReport {
  std::string title{};  ///< the model, in short
  std::vector<std::pair<std::string, std::string>>
      settings{};  ///< names and values, in the order of the page
  std::vector<ReportRow> history{};
  std::vector<std::vector<std::int64_t>> confusion{};  ///< on the test items: [truth][found]
  std::vector<Image> misclassified{};                  ///< some of them, with labels
  std::int64_t misclassified_in_all = 0;
  std::vector<Confusion> most_confused{};  ///< the most frequent first
  std::vector<Image> filters_before{};     ///< of the first convolution, before training
  FirstConvolution convolution{};          ///< after it, with a test item
  Picture graph{};                         ///< of one training step
};

/// Evaluates a classifier on all items: fills in the confusion matrix and up to `most` misclassified images,
/// those first of whose wrong class the network is surest; and of the five pairs of classes that are most often confused
/// up to eight each. The items are images as load_mnist gives them, flat
/// or with their rows; the network must be one that clone() copies, and stays as it is.
void examine(TrainingReport& report, const nn::Module& net, const nn::Dataset& data, std::size_t most = 40);

/// A training step of a copy of the network on the first `batch` items, drawn.
Picture draw_step(const nn::Module& net, const nn::Dataset& data, std::int64_t batch);

/// The report as one HTML page that needs no other file and no script. Parts that are empty are left out.
std::string to_html(const TrainingReport& report);

}  // namespace tapegrad::plot
