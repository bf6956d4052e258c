#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/layers/conv.h>
#include <tapegrad/nn/layers/trainable.h>
#include <tapegrad/ops/neural/conv_ops.h>

#include <fmt/format.h>

namespace tapegrad::nn {

namespace {

/// The parameters of a layer of convolutions.
struct Drawn {
  Parameter weight;
  Parameter bias;
};

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

/// A weight [first, second, kernel] with these fans times the kernel, and a bias for each channel out.
template <std::size_t N, class Options>
Drawn draw(const char* layer, std::int64_t first, std::int64_t second, const Sizes<N>& kernel, double fan_in,
           double fan_out, std::int64_t out, Generator& generator, const Options& o) {
  std::array<std::int64_t, 2 + N> dims{first, second};
  double area = 1;
  for (std::size_t i = 0; i < N; ++i) {
    dims[2 + i] = kernel[i];
    area *= static_cast<double>(kernel[i]);
  }
  return tapegrad::detail::named(layer, [&] {
    return Drawn{Parameter(o.init(Shape(dims), Fans{fan_in * area, fan_out * area}, generator, o.dtype)),
                 o.bias ? Parameter(Tensor::zeros({out}, o.dtype)) : Parameter()};
  });
}

/// An undefined bias is none.
Tensor given(const Parameter& bias) { return bias.defined() ? Tensor(bias) : Tensor(); }

template <std::size_t N>
constexpr const char* kName = N == 1 ? "conv1d" : "conv2d";

}  // namespace

// ---- Conv1d, Conv2d ----

template <std::size_t N>
ConvLayer<N>::ConvLayer(std::int64_t in, std::int64_t out, Sizes<N> kernel, Generator& generator,
                        const ConvLayerOptions<N>& o)
    : options_{o.stride, o.padding, o.dilation, o.groups} {
  require_options(kName<N>, in, out, kernel, o);
  auto [weight, bias] = draw(kName<N>, out, in / o.groups, kernel, static_cast<double>(in / o.groups),
                             static_cast<double>(out / o.groups), out, generator, o);
  weight_ = std::move(weight);
  bias_ = std::move(bias);
}

template <std::size_t N>
void ConvLayer<N>::visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

template <std::size_t N>
Tensor ConvLayer<N>::forward(const Tensor& x) {
  if constexpr (N == 1)
    return conv1d(x, weight_, given(bias_), options_);
  else
    return conv2d(x, weight_, given(bias_), options_);
}

template class ConvLayer<1>;
template class ConvLayer<2>;

std::unique_ptr<ModuleBase> Conv1d::new_like() const {
  return std::unique_ptr<Conv1d>(new Conv1d(options()));
}
std::unique_ptr<ModuleBase> Conv2d::new_like() const {
  return std::unique_ptr<Conv2d>(new Conv2d(options()));
}

// ---- ConvTranspose2d ----

ConvTranspose2d::ConvTranspose2d(std::int64_t in, std::int64_t out, Sizes<2> kernel, Generator& generator,
                                 const ConvTranspose2dLayerOptions& o)
    : options_{o.stride, o.padding, o.output_padding, o.dilation, o.groups} {
  constexpr const char* kLayer = "conv_transpose2d";
  const auto window = require_options(kLayer, in, out, kernel, o);
  for (std::size_t i = 0; i < 2; ++i)
    tapegrad::detail::require_output_padding(kLayer, window, o.output_padding[i], i);
  const auto spread = static_cast<double>(o.stride[0] * o.stride[1]);
  auto [weight, bias] = draw(kLayer, in, out / o.groups, kernel, static_cast<double>(in / o.groups) / spread,
                             static_cast<double>(out / o.groups), out, generator, o);
  weight_ = std::move(weight);
  bias_ = std::move(bias);
}

void ConvTranspose2d::visit(Visitor& v) {
  v("weight", weight_);
  v("bias", bias_);
}

Tensor ConvTranspose2d::forward(const Tensor& x) {
  return conv_transpose2d(x, weight_, given(bias_), options_);
}

std::unique_ptr<ModuleBase> ConvTranspose2d::new_like() const {
  return std::unique_ptr<ConvTranspose2d>(new ConvTranspose2d(options_));
}

}  // namespace tapegrad::nn
