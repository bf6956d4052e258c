#include <array>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/conv.h>
#include <tapegrad/nn/layers/trainable.h>
#include <tapegrad/ops/neural/conv_ops.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// Throws for what the function of the layer would refuse whatever its input is; returns the layer's window.
template <std::size_t N, class Options>
tapegrad::detail::Window2d require_options(const char* layer, std::int64_t in, std::int64_t out,
                                           const Sizes<N>& kernel, const Options& o) {
  if (in < 1 || out < 1)
    throw ArgumentError(
        fmt::format("{}: {} channels in and {} out; there must be at least one of each", layer, in, out));
  if (o.groups < 1 || in % o.groups != 0 || out % o.groups != 0)
    throw ArgumentError(fmt::format("{}: {} groups cannot share {} channels in and {} out equally", layer,
                                    o.groups, in, out));
  require_trainable(layer, o.dtype);
  return tapegrad::detail::conv_window(layer, kernel, o.stride, o.padding, o.dilation);
}

/// A weight [first, second, kernel] with these fans times the kernel.
template <std::size_t N, class Options>
Parameter draw_weight(const char* layer, std::int64_t first, std::int64_t second, const Sizes<N>& kernel,
                      Fans fans, Generator& generator, const Options& o) {
  std::array<std::int64_t, 2 + N> dims{first, second};
  for (std::size_t i = 0; i < N; ++i) {
    dims[2 + i] = kernel[i];
    fans.in *= static_cast<double>(kernel[i]);
    fans.out *= static_cast<double>(kernel[i]);
  }
  return tapegrad::detail::named(layer,
                                 [&] { return Parameter(o.init(Shape(dims), fans, generator, o.dtype)); });
}

template <class Options>
Parameter zero_bias(const char* layer, std::int64_t out, const Options& o) {
  if (!o.bias) return {};
  return tapegrad::detail::named(layer, [&] { return Parameter(Tensor::zeros({out}, o.dtype)); });
}

/// That of a convolution, [out, in / groups, kernel].
template <std::size_t N>
Parameter conv_weight(const char* layer, std::int64_t in, std::int64_t out, const Sizes<N>& kernel,
                      Generator& generator, const ConvLayerOptions<N>& o) {
  require_options(layer, in, out, kernel, o);
  const Fans fans{static_cast<double>(in / o.groups), static_cast<double>(out / o.groups)};
  return draw_weight(layer, out, in / o.groups, kernel, fans, generator, o);
}

/// That of a transposed one, [in, out / groups, kernel].
Parameter transposed_weight(const char* layer, std::int64_t in, std::int64_t out, const Sizes<2>& kernel,
                            Generator& generator, const ConvTranspose2dLayerOptions& o) {
  const auto window = require_options(layer, in, out, kernel, o);
  for (std::size_t i = 0; i < 2; ++i)
    tapegrad::detail::require_output_padding(layer, window, o.output_padding[i], i);
  const Fans fans{static_cast<double>(in / o.groups) / static_cast<double>(o.stride[0] * o.stride[1]),
                  static_cast<double>(out / o.groups)};
  return draw_weight(layer, in, out / o.groups, kernel, fans, generator, o);
}

}  // namespace

Conv1d::Conv1d(std::int64_t in, std::int64_t out, std::int64_t kernel, Generator& generator,
               const Conv1dLayerOptions& o)
    : ConvLayer({o.stride, o.padding, o.dilation, o.groups},
                conv_weight("conv1d", in, out, Sizes<1>(kernel), generator, o), zero_bias("conv1d", out, o)) {
}

Tensor Conv1d::forward(const Tensor& x) { return conv1d(x, weight(), given_bias(), options()); }

std::unique_ptr<ModuleBase> Conv1d::new_like() const {
  return std::unique_ptr<Conv1d>(new Conv1d(options()));
}

Conv2d::Conv2d(std::int64_t in, std::int64_t out, const Sizes<2>& kernel, Generator& generator,
               const Conv2dLayerOptions& o)
    : ConvLayer({o.stride, o.padding, o.dilation, o.groups},
                conv_weight("conv2d", in, out, kernel, generator, o), zero_bias("conv2d", out, o)) {}

Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, weight(), given_bias(), options()); }

Tensor Conv2d::forward_with_relu(const Tensor& x) const {
  return tapegrad::detail::named("conv2d", [&] { return conv2d_relu(x, weight(), given_bias(), options()); });
}

Tensor Conv2d::forward_with_max_pool(const Tensor& x, const MaxPool2dOptions& pool) const {
  return tapegrad::detail::named("conv2d",
                                 [&] { return conv2d_max_pool(x, weight(), given_bias(), pool, options()); });
}

std::unique_ptr<ModuleBase> Conv2d::new_like() const {
  return std::unique_ptr<Conv2d>(new Conv2d(options()));
}

ConvTranspose2d::ConvTranspose2d(std::int64_t in, std::int64_t out, const Sizes<2>& kernel,
                                 Generator& generator, const ConvTranspose2dLayerOptions& o)
    : ConvLayer({o.stride, o.padding, o.output_padding, o.dilation, o.groups},
                transposed_weight("conv_transpose2d", in, out, kernel, generator, o),
                zero_bias("conv_transpose2d", out, o)) {}

Tensor ConvTranspose2d::forward(const Tensor& x) {
  return conv_transpose2d(x, weight(), given_bias(), options());
}

std::unique_ptr<ModuleBase> ConvTranspose2d::new_like() const {
  return std::unique_ptr<ConvTranspose2d>(new ConvTranspose2d(options()));
}

}  // namespace tapegrad::nn
