#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/tape.h>
#include <tapegrad/graph/tensor.h>

#include "picture.h"

namespace tapegrad::plot {

/// What the tensors of a tape are called.
struct TapeNames {
  /// Inputs of operations that depend on no parameter, such as {images, "input"}. A tape has no mark of them but their
  /// shape and dtype, and where they are read. Of names for one shape and dtype, a node has the one with the largest
  /// `from` that is not behind the node's position.
  struct Constant {
    Tensor like{};
    std::string name{};
    std::size_t from = 0;
  };
  std::vector<std::pair<std::uint64_t, std::string>> parameters{};  ///< by their id
  std::vector<Constant> constants{};                                ///< the others are "constant"
};

/// What a live tape has recorded, for tapes that a reader can follow: operations from top to bottom, each
/// with its module and the shape of its result, and beside it the parameters and constants that it reads. to_dot gives
/// larger graphs to Graphviz. Throws ArgumentError for a tape without operations.
Picture draw_tape(const Tape& tape, const TapeNames& names = {});

}  // namespace tapegrad::plot
