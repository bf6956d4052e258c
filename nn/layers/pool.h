#pragma once

#include <cstdint>
#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/ops/neural/pool.h>

/// The poolings of <tapegrad/ops/neural/pool.h> as modules, which say what they compute and throw.
///
///     nn::MaxPool2d(2)
///     nn::MaxPool2d({.kernel = 3, .stride = 2, .padding = 1})
namespace tapegrad::nn {

/// What f makes of x with these options.
template <class Options, Tensor (*f)(const Tensor&, const Options&)>
class PoolLayer : public Module {
 public:
  /// With these options, or with a kernel of one size for all axes.
  explicit PoolLayer(const Options& options) : options_(options) {}
  explicit PoolLayer(std::int64_t kernel) : options_{.kernel = kernel} {}
  /// What the layer was made with.
  const Options& options() const noexcept { return options_; }
  Tensor forward(const Tensor& x) override { return f(x, options_); }

 private:
  Options options_;
};

/// max_pool1d as a layer.
class TAPEGRAD_API MaxPool1d final : public PoolLayer<MaxPool1dOptions, max_pool1d> {
 public:
  using PoolLayer::PoolLayer;
  std::unique_ptr<ModuleBase> new_like() const override;
};

/// max_pool2d as a layer.
class TAPEGRAD_API MaxPool2d final : public PoolLayer<MaxPool2dOptions, max_pool2d> {
 public:
  using PoolLayer::PoolLayer;
  std::unique_ptr<ModuleBase> new_like() const override;
};

/// avg_pool1d as a layer.
class TAPEGRAD_API AvgPool1d final : public PoolLayer<AvgPool1dOptions, avg_pool1d> {
 public:
  using PoolLayer::PoolLayer;
  std::unique_ptr<ModuleBase> new_like() const override;
};

/// avg_pool2d as a layer.
class TAPEGRAD_API AvgPool2d final : public PoolLayer<AvgPool2dOptions, avg_pool2d> {
 public:
  using PoolLayer::PoolLayer;
  std::unique_ptr<ModuleBase> new_like() const override;
};

/// [n, c, ...] to [n, c], so that an Affine may follow whatever the size of the images.
class TAPEGRAD_API GlobalAvgPool final : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;
};

}  // namespace tapegrad::nn
