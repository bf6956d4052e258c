#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/nn/data/dataset.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/nn/train/evaluate.h>

#include "classification.h"
#include "convolutions.h"
#include "curves.h"
#include "images.h"
#include "picture.h"
#include "regression.h"

namespace tapegrad::plot {

/// Names and values, in the order of the page.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// What is known of a finished training.
struct TrainingReport {
  std::string title{};                    ///< the model, in short
  Facts facts{};                          ///< of the run: command, versions, sizes
  Facts settings{};                       ///< the options that were given
  ScoreNames names{};                     ///< what the scores of the history are called
  std::string note{};                     ///< a sentence below the headline, where there is something to know
  nn::History history{};                  ///< the trainer's
  std::vector<nn::Score> test{};          ///< on the test items, after each of its epochs; NaN: not measured
  Classification classification{};        ///< of the test items, where they have classes
  std::vector<Prediction> predictions{};  ///< of the test items' targets, where they are numbers
  std::vector<Picture> weights{};         ///< draw_weights
  std::vector<Image> filters_before{};    ///< of the first convolution, before training
  FirstConvolution convolution{};         ///< after it, with a test item
  Picture graph{};                        ///< of one training step
};

/// A training step of a copy of the network on the first `batch` items, drawn.
Picture draw_step(const nn::Module& net, const nn::Dataset& data, std::int64_t batch,
                  const nn::Objective& objective = {});

/// "Best epoch 4 of 5, by the validation loss: test accuracy 97.1 %, ...": the epochs' scores in a sentence or two;
/// empty without epochs. Throws ArgumentError where there is not a test score for each.
std::string headline(const TrainingReport& report);

/// The report as one HTML page that needs no other file and no script. Parts that are empty are left out. Throws
/// as headline.
std::string to_html(const TrainingReport& report);

}  // namespace tapegrad::plot
