#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad {

/// A tensor of the tape to be drawn with its value, and with its gradient where there is one: of what is
/// differentiated, for it, as Tape::grad and Gradients give it.
struct DotTensor {
  Tensor tensor;       ///< what is drawn with its value
  std::string name{};  ///< how it is called in the picture
  Tensor gradient{};   ///< of its shape; undefined: none is drawn
};

/// What to_dot shows beside the operations.
struct DotOptions {
  /// Names of parameters by their id; others are drawn as "parameter".
  std::vector<std::pair<std::uint64_t, std::string>> parameter_names{};
  /// Values and gradients for the edges: the value of each of these tensors stands on the edges that lead
  /// from it, and its gradient on an edge that leads back, in another colour; where it is used several times,
  /// the gradient, which is that of all uses together, stands at the tensor. One that nothing is computed
  /// from leads to a node of its own. Up to four elements are shown, of larger tensors the shape.
  std::vector<DotTensor> tensors{};
  /// Whether the attributes of operations are shown below their names, as "axis=1, keepdims=true".
  bool attributes = false;
};

/// What a live tape has recorded, in the DOT language of Graphviz: leaves as boxes, operations as ellipses
/// with the shape of their result, inputs that are constants as notes, operations of one module framed
/// together. Throws NotTracked for one of `tensors` that is not on this tape, ShapeError for a gradient that
/// is not of its tensor's shape.
TAPEGRAD_API std::string to_dot(const Tape& tape, const DotOptions& options = {});

}  // namespace tapegrad
