#pragma once

#include <tapegrad/nn/layers/affine.h>
#include <tapegrad/nn/layers/dropout.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/nn/train/trainer.h>
#include <tapegrad/optim/rules.h>

namespace tapegrad::fuzz {

/// A training whose checkpoints are inputs: few bytes, of every kind of tensor that a checkpoint has.
struct TinyTraining {
  void fit() { trainer.fit({Tensor::full({3, 1}, 0.5), Tensor::zeros({3}, i64), 2}); }

  Generator rng{1};
  nn::Sequential net{nn::Affine(1, 2, rng), nn::Dropout(0.5, rng)};
  optim::SGD sgd{net, 0.1, optim::SGDOptions{.momentum = 0.9}};
  nn::Trainer trainer{net, sgd, {.iterations = 2, .batch = 2, .plateau = optim::ReduceOnPlateau()}};
};

}  // namespace tapegrad::fuzz
