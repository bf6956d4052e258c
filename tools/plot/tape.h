#pragma once

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
  std::vector<std::pair<std::uint64_t, std::string>> parameters{};  ///< by their id
  /// Of inputs of operations that depend on no parameter, by shape and dtype, such as {images, "input"}: a tape has no
  /// other mark of them. The others are "constant".
  std::vector<std::pair<Tensor, std::string>> constants{};
};

/// What a live tape has recorded, for tapes that a reader can follow: operations from top to bottom, each
/// with its module and the shape of its result, and beside it the parameters and constants that it reads. to_dot gives
/// larger graphs to Graphviz. Throws ArgumentError for a tape without operations.
Picture draw_tape(const Tape& tape, const TapeNames& names = {});

}  // namespace tapegrad::plot
