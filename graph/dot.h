#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tape.h>

namespace tapegrad {

struct DotOptions {
  /// Names of parameters by their id; others are drawn as "parameter".
  std::vector<std::pair<std::uint64_t, std::string>> parameter_names{};
};

/// What a live tape has recorded, in the DOT language of Graphviz: leaves as boxes, operations as ellipses
/// with the shape of their result, inputs that are constants as notes, operations of one module framed
/// together.
TAPEGRAD_API std::string to_dot(const Tape& tape, const DotOptions& options = {});

}  // namespace tapegrad
