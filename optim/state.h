#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::optim {

/// Named tensors in a fixed order: what an optimizer, or a module, saves and restores.
using State = std::vector<std::pair<std::string, Tensor>>;

/// The tensors of `given` in the order of `expected`. Throws ArgumentError, starting with `what`, where one
/// is undefined or the names are not the same, listing those that are missing or unexpected; ShapeError or
/// DtypeError where a tensor is not like the one expected.
TAPEGRAD_API std::vector<Tensor> match_state(std::string_view what, const State& expected,
                                             const State& given);

}  // namespace tapegrad::optim
