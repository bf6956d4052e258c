#pragma once

#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/ops/neural/upsample.h>

namespace tapegrad::nn {

/// upsample as a module, see <tapegrad/ops/neural/upsample.h>, which says what it computes and throws.
///
///     nn::Upsample(2)
///     nn::Upsample({.scale = 2, .mode = UpsampleMode::bilinear})
class TAPEGRAD_API Upsample final : public Module {
 public:
  /// With these options, or with a scale alone.
  explicit Upsample(const UpsampleOptions& options) : options_(options) {}
  explicit Upsample(double scale) : options_{.scale = scale} {}
  /// What the layer was made with.
  const UpsampleOptions& options() const noexcept { return options_; }
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  UpsampleOptions options_;
};

}  // namespace tapegrad::nn
