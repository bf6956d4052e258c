#pragma once

#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>

namespace tapegrad::nn {

/// [n, a, b, ...] as [n, a * b * ...], and [n] as [n, 1]: the first axis stays, all others become one.
class TAPEGRAD_API Flatten final : public Module {
 public:
  /// Throws ShapeError for a scalar.
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;
};

}  // namespace tapegrad::nn
