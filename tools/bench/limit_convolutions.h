#pragma once

#include <memory>
#include <vector>

#include "contender.h"
#include "tasks.h"

/// The convolutions of the hand-written contender: oneDNN's, each in the order of elements that it likes best, with all
/// memory taken beforehand.
namespace tapegrad::bench {

class Convolutions {
 public:
  virtual ~Convolutions() = default;
  /// Images [batch, channels, side, side] to the rows of the first affine layer.
  virtual void forward(const float* images, float* rows) = 0;
  /// From the gradient of these rows; the weights go on.
  virtual void backward(const float* gradient, float rate) = 0;
  /// Weights [out, in, kernel, kernel] of the first one.
  virtual std::vector<float> first_weights() = 0;
};

/// Whether this program was built with oneDNN.
bool has_convolutions();
std::unique_ptr<Convolutions> make_convolutions(const NetTask& task, int threads);
/// A single one, by oneDNN: operands and result lie in the orders that it likes best. Null without oneDNN.
std::unique_ptr<Program> make_convolution(const ConvolutionTask& task, int threads);

}  // namespace tapegrad::bench
