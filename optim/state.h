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

/// A tensor whose shape is another than the one expected under its name.
struct Misfit {
  std::string name;  ///< of the tensor
  Shape given;       ///< its shape in the state
  Shape expected;    ///< the shape that is needed
};

/// Which tensors of a state fit what is expected, and what does not.
struct StateMatch {
  std::vector<Tensor> tensors;       ///< one for each expected; undefined where it is missing or does not fit
  std::vector<std::string> missing;  ///< names that are expected and not there
  std::vector<std::string> unexpected;  ///< names that are there and not expected
  std::vector<Misfit> misfits;          ///< tensors of other shapes
};

/// Tensors of `given` in the order of `expected`, as far as they are there and have the shape. Throws as match_state
/// for one that is undefined, for a name that is given twice, for another dtype, and for the transpose of what is
/// expected, which is no other layer but weights of another convention.
TAPEGRAD_API StateMatch match_partly(std::string_view what, const State& expected, const State& given);

/// The tensors of `given` in the order of `expected`. Throws ArgumentError, starting with `what`, where one
/// is undefined or the names are not the same, listing those that are missing or unexpected; ShapeError or
/// DtypeError where a tensor is not like the one expected.
TAPEGRAD_API std::vector<Tensor> match_state(std::string_view what, const State& expected,
                                             const State& given);

}  // namespace tapegrad::optim
