#pragma once

#include <cstddef>
#include <cstdint>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/neural/pool.h>
#include <tapegrad/ops/neural/sizes.h>

/// Convolutions, in the sense of networks: correlations of images with kernels.
namespace tapegrad {

/// How kernels are moved over images, by axis; as in PyTorch. Input and output channels are in `groups`, each of which
/// meets its own kernels alone; with as many groups as channels it is a depthwise convolution.
template <std::size_t N>
struct ConvOptions {
  Sizes<N> stride = 1;       ///< distance of neighbouring windows
  ConvPadding<N> padding{};  ///< what stands around images
  Sizes<N> dilation = 1;     ///< the distance of neighbouring weights
  std::int64_t groups = 1;   ///< of channels
};
/// Those of conv1d and conv2d.
using Conv1dOptions = ConvOptions<1>;
using Conv2dOptions = ConvOptions<2>;

/// The same of a transposed convolution. Several sizes give one and the same size of result: output_padding, at the end
/// of each axis, says which is meant; it is less than the stride or the dilation.
template <std::size_t N>
struct ConvTransposeOptions {
  Sizes<N> stride = 1;          ///< distance of neighbouring windows in the result
  ConvPadding<N> padding{};     ///< what is cut off around the result
  Sizes<N> output_padding = 0;  ///< what the result is larger by, at the end
  Sizes<N> dilation = 1;        ///< distance of neighbouring weights
  std::int64_t groups = 1;      ///< of channels
};
/// Those of conv_transpose1d and conv_transpose2d.
using ConvTranspose1dOptions = ConvTransposeOptions<1>;
using ConvTranspose2dOptions = ConvTransposeOptions<2>;

/// y[n, o, p] = bias[o] + sum over c, k of weight[o, c, k] x[n, c, p stride + k dilation - padding], where x is 0
/// outside of its images. x is [n, c, h, w], the weight [o, c / groups, kh, kw], the bias [o] or undefined; the
/// result is [n, o, h', w'] with h' = floor((h + padding - (kh - 1) dilation - 1) / stride) + 1.
///
/// Of many channels, kernels of 3 x 3 with stride and dilation 1 are taken by minimal filtering (S. Winograd; A. Lavin
/// and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015), and so are their gradients: a result is then
/// exact but for rounding of the largest product that it could have, and equal patches may differ in their last digits.
///
/// Throws ShapeError for shapes that do not fit and for a kernel larger than the padded image, ArgumentError for
/// strides, dilations and groups below 1 and negative padding, DtypeError for mixed dtypes and integers.
TAPEGRAD_API Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                           const Conv2dOptions& options = {});
/// relu(conv2d(x, weight, bias, options)), to the bit, in one pass over memory. A Sequential calls it where a Relu
/// follows a Conv2d.
TAPEGRAD_API Tensor conv2d_relu(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                const Conv2dOptions& options = {});
/// max_pool2d(conv2d(x, weight, bias, options), pool), to the bit, a few images at a time: what is pooled is neither
/// kept for backward nor in memory as a whole. Throws as both do, and ArgumentError for a pooling with padding. A
/// Sequential calls it where a MaxPool2d follows a Conv2d, also with a Relu between them.
TAPEGRAD_API Tensor conv2d_max_pool(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const MaxPool2dOptions& pool, const Conv2dOptions& options = {});
/// As conv2d along one axis: x is [n, c, l], the weight [o, c / groups, k].
TAPEGRAD_API Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                           const Conv1dOptions& options = {});

/// The transpose of conv2d's linear map, plus a bias. x is [n, c, h, w], the weight
/// [c, o / groups, kh, kw], the result [n, o, h', w'] with
/// h' = (h - 1) stride - padding + (kh - 1) dilation + 1 + output_padding. "same" keeps h' = h with a stride of 1.
/// Throws as conv2d does, and for output_padding that is out of its range.
TAPEGRAD_API Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvTranspose2dOptions& options = {});
/// The same along one axis.
TAPEGRAD_API Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                     const ConvTranspose1dOptions& options = {});

}  // namespace tapegrad
