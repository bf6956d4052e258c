#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/parameter.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/init.h>
#include <tapegrad/nn/layer.h>
#include <tapegrad/ops/neural/conv.h>

namespace tapegrad::nn {

/// What a layer of convolutions along N axes is made with, beside its channels and its kernel; see conv2d.
template <std::size_t N>
struct ConvLayerOptions {
  Sizes<N> stride = 1;
  ConvPadding<N> padding{};
  Sizes<N> dilation = 1;
  std::int64_t groups = 1;
  Init init = Init::he();  ///< of the weight; the bias starts at 0
  bool bias = true;
  Dtype dtype = f32;
};
using Conv1dLayerOptions = ConvLayerOptions<1>;
using Conv2dLayerOptions = ConvLayerOptions<2>;

/// y = conv2d(x, weight, bias) with x [n, in, h, w]: parameters "weight" [out, in / groups, kh, kw] and "bias" [out], as
/// PyTorch's layers of these names have them. With N = 1 the same along one axis.
template <std::size_t N>
class TAPEGRAD_API ConvLayer : public Module {
 public:
  /// Draws the weight from the generator, with a fan_in of in / groups times the kernel and a fan_out of out / groups times
  /// it. Throws ArgumentError for a size below 1, for groups that do not divide the channels and for options that conv2d
  /// refuses whatever x is, DtypeError for i64.
  ConvLayer(std::int64_t in, std::int64_t out, Sizes<N> kernel, Generator& generator,
            const ConvLayerOptions<N>& options = {});

  std::int64_t in() const { return weight_.shape()[1] * options_.groups; }
  std::int64_t out() const { return weight_.shape()[0]; }
  const ConvOptions<N>& options() const noexcept { return options_; }
  Parameter& weight() noexcept { return weight_; }
  const Parameter& weight() const noexcept { return weight_; }
  /// Undefined where the layer has none.
  Parameter& bias() noexcept { return bias_; }
  const Parameter& bias() const noexcept { return bias_; }

  void visit(Visitor& v) override;
  Tensor forward(const Tensor& x) override;

 protected:
  explicit ConvLayer(const ConvOptions<N>& options) : options_(options) {}

 private:
  ConvOptions<N> options_;
  Parameter weight_;
  Parameter bias_;
};
extern template class ConvLayer<1>;
extern template class ConvLayer<2>;

class TAPEGRAD_API Conv1d final : public ConvLayer<1> {
 public:
  using ConvLayer::ConvLayer;
  std::unique_ptr<ModuleBase> new_like() const override;
};

class TAPEGRAD_API Conv2d final : public ConvLayer<2> {
 public:
  using ConvLayer::ConvLayer;
  std::unique_ptr<ModuleBase> new_like() const override;
};

struct ConvTranspose2dLayerOptions {
  Sizes<2> stride = 1;
  ConvPadding<2> padding{};
  Sizes<2> output_padding = 0;
  Sizes<2> dilation = 1;
  std::int64_t groups = 1;
  Init init = Init::he();  ///< of the weight; the bias starts at 0
  bool bias = true;
  Dtype dtype = f32;
};

/// y = conv_transpose2d(x, weight, bias) with x [n, in, h, w]: parameters "weight" [in, out / groups, kh, kw] and "bias"
/// [out], as PyTorch's layer of this name has them.
class TAPEGRAD_API ConvTranspose2d final : public Module {
 public:
  /// Draws the weight from the generator. Of in / groups times the kernel, a result sums up one in stride_h stride_w
  /// products, which is the fan_in; the fan_out is out / groups times the kernel. Throws as ConvLayer does.
  ConvTranspose2d(std::int64_t in, std::int64_t out, Sizes<2> kernel, Generator& generator,
                  const ConvTranspose2dLayerOptions& options = {});

  std::int64_t in() const { return weight_.shape()[0]; }
  std::int64_t out() const { return weight_.shape()[1] * options_.groups; }
  const ConvTranspose2dOptions& options() const noexcept { return options_; }
  Parameter& weight() noexcept { return weight_; }
  const Parameter& weight() const noexcept { return weight_; }
  /// Undefined where the layer has none.
  Parameter& bias() noexcept { return bias_; }
  const Parameter& bias() const noexcept { return bias_; }

  void visit(Visitor& v) override;
  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  explicit ConvTranspose2d(const ConvTranspose2dOptions& options) : options_(options) {}

  ConvTranspose2dOptions options_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace tapegrad::nn
