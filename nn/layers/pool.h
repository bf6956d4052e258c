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
///     nn::MaxPool2d({.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}})
namespace tapegrad::nn {

class TAPEGRAD_API MaxPool2d final : public Module {
 public:
  explicit MaxPool2d(const MaxPool2dOptions& options) : options_(options) {}
  explicit MaxPool2d(std::int64_t kernel) : options_{.kernel = {kernel, kernel}} {}
  const MaxPool2dOptions& options() const noexcept { return options_; }
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  MaxPool2dOptions options_;
};

class TAPEGRAD_API MaxPool1d final : public Module {
 public:
  explicit MaxPool1d(const MaxPool1dOptions& options) : options_(options) {}
  explicit MaxPool1d(std::int64_t kernel) : options_{.kernel = kernel} {}
  const MaxPool1dOptions& options() const noexcept { return options_; }
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  MaxPool1dOptions options_;
};

class TAPEGRAD_API AvgPool2d final : public Module {
 public:
  explicit AvgPool2d(const AvgPool2dOptions& options) : options_(options) {}
  explicit AvgPool2d(std::int64_t kernel) : options_{.kernel = {kernel, kernel}} {}
  const AvgPool2dOptions& options() const noexcept { return options_; }
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  AvgPool2dOptions options_;
};

class TAPEGRAD_API AvgPool1d final : public Module {
 public:
  explicit AvgPool1d(const AvgPool1dOptions& options) : options_(options) {}
  explicit AvgPool1d(std::int64_t kernel) : options_{.kernel = kernel} {}
  const AvgPool1dOptions& options() const noexcept { return options_; }
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  AvgPool1dOptions options_;
};

/// [n, c, ...] to [n, c], so that an Affine may follow whatever the size of the images.
class TAPEGRAD_API GlobalAvgPool final : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;
};

}  // namespace tapegrad::nn
