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
  Sizes<N> stride = 1;       ///< distance of neighbouring windows
  ConvPadding<N> padding{};  ///< what stands around images
  Sizes<N> dilation = 1;     ///< distance of neighbouring weights
  std::int64_t groups = 1;   ///< of channels, each with kernels of its own
  Init init = Init::he();    ///< of the weight; the bias starts at 0
  bool bias = true;          ///< whether there is one
  Dtype dtype = f32;         ///< of weight and bias: f32 or f64
};
/// Those of Conv1d and Conv2d.
using Conv1dLayerOptions = ConvLayerOptions<1>;
using Conv2dLayerOptions = ConvLayerOptions<2>;

/// What layers of convolutions hold: parameters "weight" and "bias", as PyTorch's layers of their names have them,
/// and the options that are given to their function with every input.
template <class Options>
class TAPEGRAD_API ConvLayer : public Module {
 public:
  /// What the layer was made with.
  const Options& options() const noexcept { return options_; }
  /// The kernels.
  Parameter& weight() noexcept { return weight_; }
  const Parameter& weight() const noexcept { return weight_; }
  /// Undefined where the layer has none.
  Parameter& bias() noexcept { return bias_; }
  const Parameter& bias() const noexcept { return bias_; }

  void visit(Visitor& v) override {
    v("weight", weight_);
    v("bias", bias_);
  }

 protected:
  /// Of these options and parameters, undefined ones being none.
  explicit ConvLayer(const Options& options, const Parameter& weight = {}, const Parameter& bias = {})
      : options_(options), weight_(weight), bias_(bias) {}

  /// An undefined bias is none.
  Tensor given_bias() const { return bias_.defined() ? Tensor(bias_) : Tensor(); }

 private:
  Options options_;
  Parameter weight_;
  Parameter bias_;
};

/// y = conv2d(x, weight, bias) with x [n, in, h, w], the weight [out, in / groups, kh, kw] and the bias [out].
class TAPEGRAD_API Conv2d final : public ConvLayer<Conv2dOptions> {
 public:
  /// Draws the weight from the generator, with a fan_in of in / groups times the kernel and a fan_out of out / groups
  /// times it. Throws ArgumentError for a size below 1, for groups that do not divide the channels and for options
  /// that conv2d refuses whatever x is, DtypeError for i64.
  Conv2d(std::int64_t in, std::int64_t out, const Sizes<2>& kernel, Generator& generator,
         const Conv2dLayerOptions& options = {});

  /// Channels of inputs and results.
  std::int64_t in() const { return weight().shape()[1] * options().groups; }
  std::int64_t out() const { return weight().shape()[0]; }

  Tensor forward(const Tensor& x) override;
  /// relu(forward(x)), in one pass over memory.
  Tensor forward_with_relu(const Tensor& x) const;
  /// max_pool2d(forward(x), pool), a few images at a time; as conv2d_max_pool.
  Tensor forward_with_max_pool(const Tensor& x, const MaxPool2dOptions& pool) const;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  using ConvLayer::ConvLayer;
};

/// The same along one axis: x is [n, in, l], the weight [out, in / groups, k].
class TAPEGRAD_API Conv1d final : public ConvLayer<Conv1dOptions> {
 public:
  /// As Conv2d.
  Conv1d(std::int64_t in, std::int64_t out, std::int64_t kernel, Generator& generator,
         const Conv1dLayerOptions& options = {});

  /// Channels of inputs and results.
  std::int64_t in() const { return weight().shape()[1] * options().groups; }
  std::int64_t out() const { return weight().shape()[0]; }

  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  using ConvLayer::ConvLayer;
};

/// What a ConvTranspose2d is made with, beside its channels and its kernel; see conv_transpose2d.
struct ConvTranspose2dLayerOptions {
  Sizes<2> stride = 1;          ///< distance of neighbouring windows in the result
  ConvPadding<2> padding{};     ///< what is cut off around the result
  Sizes<2> output_padding = 0;  ///< what the result is larger by, at the end
  Sizes<2> dilation = 1;        ///< distance of neighbouring weights
  std::int64_t groups = 1;      ///< of channels, each with kernels of its own
  Init init = Init::he();       ///< of the weight; the bias starts at 0
  bool bias = true;             ///< whether there is one
  Dtype dtype = f32;            ///< of weight and bias: f32 or f64
};

/// y = conv_transpose2d(x, weight, bias) with x [n, in, h, w], the weight [in, out / groups, kh, kw] and the bias
/// [out].
class TAPEGRAD_API ConvTranspose2d final : public ConvLayer<ConvTranspose2dOptions> {
 public:
  /// Draws the weight from the generator. Of in / groups times the kernel, a result sums up one in stride_h stride_w
  /// products, which is the fan_in; the fan_out is out / groups times the kernel. Throws as Conv2d does.
  ConvTranspose2d(std::int64_t in, std::int64_t out, const Sizes<2>& kernel, Generator& generator,
                  const ConvTranspose2dLayerOptions& options = {});

  /// Channels of inputs and results.
  std::int64_t in() const { return weight().shape()[0]; }
  std::int64_t out() const { return weight().shape()[1] * options().groups; }

  Tensor forward(const Tensor& x) override;
  std::unique_ptr<ModuleBase> new_like() const override;

 private:
  using ConvLayer::ConvLayer;
};

}  // namespace tapegrad::nn
