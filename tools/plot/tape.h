#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/graph/tape.h>

#include "picture.h"

namespace tapegrad::plot {

/// What a live tape has recorded, for tapes that a reader can follow: operations from top to bottom, each
/// with its module and the shape of its result, and beside it the parameters (by their id's name) and
/// constants that it reads. to_dot gives larger graphs to Graphviz. Throws ArgumentError for a tape without
/// operations.
Picture draw_tape(const Tape& tape,
                  const std::vector<std::pair<std::uint64_t, std::string>>& parameter_names = {});

}  // namespace tapegrad::plot
