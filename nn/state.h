#pragma once

#include <tapegrad/optim/state.h>

namespace tapegrad::nn {

using optim::State;

}  // namespace tapegrad::nn
