#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/optim/state.h>

namespace tapegrad::nn {

using optim::State;

/// Whether no tensor of it holds a NaN or an infinity.
TAPEGRAD_API bool is_finite(const State& state);

}  // namespace tapegrad::nn
