#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/layer.h>

namespace tapegrad::nn {

/// One layer of a network, as it was called.
struct LayerSummary {
  std::string path;             ///< as "conv1", or "encoder.fc2"; empty for the network itself
  std::string kind;             ///< its class, as "Conv2d"
  Shape output;                 ///< of one item, without the batch
  std::int64_t parameters = 0;  ///< numbers that it holds itself, frozen or not
};

/// What summary() found.
struct Summary {
  std::vector<LayerSummary> layers;  ///< in the order of their calls
  std::int64_t parameters = 0;       ///< of the network; one that is shared counts once
};

/// The layers that a network calls for items of this shape, [1, 28, 28] or [784], what each makes of them, and how
/// many parameters it has. Modules that hold others are listed where they have parameters of their own. The network is
/// called with one item of zeros, in evaluation mode and without a tape, and is left as it was; it throws what that
/// call throws.
///
///     fmt::print("{}", nn::to_string(nn::summary(net, {1, 28, 28})));
TAPEGRAD_API Summary summary(Module& net, const Shape& item, Dtype dtype = f32);

/// A table with a line for each layer, and one for all.
TAPEGRAD_API std::string to_string(const Summary& summary);

}  // namespace tapegrad::nn
