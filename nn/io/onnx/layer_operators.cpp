#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <tapegrad/nn/io/onnx/node_call.h>
#include <tapegrad/ops/ops.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

using Integers = std::vector<std::int64_t>;
using Run = std::function<std::vector<Tensor>(const NodeCall&)>;

Run run(Tensor (*f)(const NodeCall&)) {
  return [=](const NodeCall& c) { return std::vector{f(c)}; };
}

// ---- products ----

Tensor gemm(const NodeCall& c) {
  const Tensor &a = c.in(0), &b = c.in(1);
  const bool transpose_a = c.integer("transA", 0) != 0, transpose_b = c.integer("transB", 0) != 0;
  const double alpha = c.number("alpha", 1), beta = c.number("beta", 1);
  const bool plain = !transpose_a && alpha == 1 && beta == 1;
  if (plain && c.has(2) && c.in(2).rank() == 1 && a.rank() == 2)
    return affine(a, transpose_b ? transpose(b) : b, c.in(2));
  Tensor y = matmul(a, b, {.transpose_a = transpose_a, .transpose_b = transpose_b});
  if (alpha != 1) y = alpha * y;
  if (!c.has(2)) return y;
  return y + (beta == 1 ? c.in(2) : beta * c.in(2));
}

Tensor product(const NodeCall& c) { return matmul(c.in(0), c.in(1)); }

// ---- windows ----

/// What convolutions and pooling say of their windows, for images or sequences.
struct WindowOf {
  Integers kernel, stride, dilation, pads;
  std::size_t axes;

  WindowOf(const NodeCall& c, std::size_t spatial) : axes(spatial) {
    stride = c.integers("strides", Integers(axes, 1));
    dilation = c.integers("dilations", Integers(axes, 1));
    pads = c.integers("pads", Integers(2 * axes, 0));
    kernel = c.integers("kernel_shape", Integers(axes, 0));
    if (axes < 1 || axes > 2) c.fail(fmt::format("slides along {} axes; one and two are known here", axes));
    if (stride.size() != axes || dilation.size() != axes || pads.size() != 2 * axes || kernel.size() != axes)
      c.fail("has lists of another length than there are axes");
    if (std::ranges::any_of(pads, [](std::int64_t p) { return p < 0; })) c.fail("has a negative padding");
  }
  std::int64_t before(std::size_t i) const { return pads[i]; }
  std::int64_t after(std::size_t i) const { return pads[i + axes]; }
  template <std::size_t N>
  static Sizes<N> sizes(const Integers& values) {
    Sizes<N> s;
    std::copy_n(values.begin(), N, &s[0]);
    return s;
  }
  template <std::size_t N>
  std::array<Padding, N> padding() const {
    std::array<Padding, N> p;
    for (std::size_t i = 0; i < N; ++i) p[i] = {before(i), after(i)};
    return p;
  }
  /// Whether pooling has this padding: the same on both sides, at most half of the kernel.
  bool fits_pooling() const {
    for (std::size_t i = 0; i < axes; ++i)
      if (before(i) != after(i) || before(i) > kernel[i] / 2) return false;
    return true;
  }
  Tensor padded(const Tensor& x, double value) const {
    std::vector<Padding> all(x.rank());
    for (std::size_t i = 0; i < axes; ++i) all[2 + i] = {before(i), after(i)};
    return pad(x, std::span<const Padding>(all), value);
  }
};

std::size_t spatial_axes(const NodeCall& c) {
  if (c.in(0).rank() < 3)
    c.fail(fmt::format("takes images or sequences, not {}", to_string(c.in(0).shape())));
  return c.in(0).rank() - 2;
}

void check_window(const NodeCall& c) {
  if (const std::string auto_pad = c.text("auto_pad", "NOTSET"); auto_pad != "NOTSET" && auto_pad != "VALID")
    c.fail(fmt::format("has auto_pad {}; padding in numbers is known here (pads)", auto_pad));
  if (c.integer("storage_order", 0)) c.fail("has a storage order other than 0");
}

Tensor bias_of(const NodeCall& c) { return c.has(2) ? c.in(2) : Tensor(); }

template <std::size_t N>
ConvOptions<N> conv_options(const NodeCall& c, const WindowOf& w) {
  return {.stride = WindowOf::sizes<N>(w.stride),
          .padding = w.padding<N>(),
          .dilation = WindowOf::sizes<N>(w.dilation),
          .groups = c.integer("group", 1)};
}

Tensor convolution(const NodeCall& c) {
  const std::size_t axes = spatial_axes(c);
  const WindowOf w(c, axes);
  if (axes == 1) return conv1d(c.in(0), c.in(1), bias_of(c), conv_options<1>(c, w));
  return conv2d(c.in(0), c.in(1), bias_of(c), conv_options<2>(c, w));
}

Tensor transposed_convolution(const NodeCall& c) {
  const std::size_t axes = spatial_axes(c);
  const WindowOf w(c, axes);
  const Integers output_padding = c.integers("output_padding", Integers(axes, 0));
  if (output_padding.size() != axes) c.fail("has lists of another length than there are axes");
  const auto options = [&]<std::size_t N>() {
    return ConvTransposeOptions<N>{.stride = WindowOf::sizes<N>(w.stride),
                                   .padding = w.padding<N>(),
                                   .output_padding = WindowOf::sizes<N>(output_padding),
                                   .dilation = WindowOf::sizes<N>(w.dilation),
                                   .groups = c.integer("group", 1)};
  };
  if (axes == 1) return conv_transpose1d(c.in(0), c.in(1), bias_of(c), options.operator()<1>());
  return conv_transpose2d(c.in(0), c.in(1), bias_of(c), options.operator()<2>());
}

/// Images of sequences, so that there is one way for both.
template <class F>
Tensor on_images(const NodeCall& c, F f) {
  WindowOf w(c, spatial_axes(c));
  if (w.axes == 2) return f(c.in(0), w);
  const auto with_one = [](Integers& values, std::int64_t one) { values.insert(values.begin(), one); };
  with_one(w.kernel, 1), with_one(w.stride, 1), with_one(w.dilation, 1);
  w.pads = {0, w.pads[0], 0, w.pads[1]};
  w.axes = 2;
  return squeeze(f(unsqueeze(c.in(0), 2), w), 2);
}

Tensor max_pool(const NodeCall& c) {
  return on_images(c, [&](const Tensor& x, const WindowOf& w) {
    const bool fits = w.fits_pooling();
    const Tensor padded = fits ? x : w.padded(x, -std::numeric_limits<double>::infinity());
    return max_pool2d(padded, {.kernel = WindowOf::sizes<2>(w.kernel),
                               .stride = WindowOf::sizes<2>(w.stride),
                               .padding = fits ? Sizes<2>(w.pads[0], w.pads[1]) : Sizes<2>(),
                               .dilation = WindowOf::sizes<2>(w.dilation),
                               .ceil_mode = c.integer("ceil_mode", 0) != 0});
  });
}

Tensor average_pool(const NodeCall& c) {
  return on_images(c, [&](const Tensor& x, const WindowOf& w) {
    const bool counts = c.integer("count_include_pad", 0) != 0;
    if (w.dilation != Integers{1, 1}) c.fail("is dilated, which is not known here");
    const bool fits = w.fits_pooling();
    if (!fits && !counts) c.fail("has a padding that differs between sides, or beyond half of the kernel");
    return avg_pool2d(fits ? x : w.padded(x, 0),
                      {.kernel = WindowOf::sizes<2>(w.kernel),
                       .stride = WindowOf::sizes<2>(w.stride),
                       .padding = fits ? Sizes<2>(w.pads[0], w.pads[1]) : Sizes<2>(),
                       .ceil_mode = c.integer("ceil_mode", 0) != 0,
                       .count_include_pad = counts});
  });
}

Tensor global_average(const NodeCall& c) {
  Integers axes;
  for (std::size_t i = 2; i < c.in(0).rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  return mean(c.in(0), Axes(std::span<const std::int64_t>(axes)), KeepDims::yes);
}

// ---- normalisation, softmax, resizing ----

/// As in evaluation: by running statistics.
Tensor batch_normalized(const NodeCall& c) {
  const Tensor& x = c.in(0);
  if (x.rank() < 2) c.fail(fmt::format("takes channels, not {}", to_string(x.shape())));
  const auto beside = [&](const Tensor& t) {
    std::vector<std::int64_t> sizes(x.rank() - 1, 1);
    sizes[0] = t.size();
    return reshape(t, Shape(std::span<const std::int64_t>(sizes)));
  };
  const Tensor inv_std = rsqrt(c.in(4) + c.number("epsilon", 1e-5));
  return (x - beside(c.in(3))) * beside(inv_std * c.in(1)) + beside(c.in(2));
}

void check_batch_normalization(const NodeCall& c) {
  if (c.integer("training_mode", 0)) c.fail("is in training mode; export the model for inference");
}

Tensor soft_max(const NodeCall& c) { return softmax(c.in(0), c.integer("axis", -1)); }
Tensor log_soft_max(const NodeCall& c) { return log_softmax(c.in(0), c.integer("axis", -1)); }

bool is_bilinear(const NodeCall& c) { return c.text("mode", "nearest") == "linear"; }

void check_resize(const NodeCall& c) {
  const std::string mode = c.text("mode", "nearest");
  const std::string places = c.text("coordinate_transformation_mode", "half_pixel");
  const bool nearest =
      mode == "nearest" && places == "asymmetric" && c.text("nearest_mode", "round_prefer_floor") == "floor";
  const bool linear = mode == "linear" &&
                      (places == "half_pixel" || places == "align_corners" || places == "pytorch_half_pixel");
  if (!nearest && !linear)
    c.fail(fmt::format(
        "resizes by mode '{}' and coordinates '{}'; known here are nearest, asymmetric with floor, and "
        "linear with half_pixel or align_corners",
        mode, places));
  if (c.integer("antialias", 0) || c.text("keep_aspect_ratio_policy", "stretch") != "stretch")
    c.fail("resizes in a way that is not known here");
}

Tensor resized(const NodeCall& c) {
  const Tensor& x = c.in(0);
  if (x.rank() != 4) c.fail(fmt::format("takes images [n, c, h, w], not {}", to_string(x.shape())));
  Integers sizes;
  if (c.has(3)) {
    sizes = c.integers_in(3);
  } else {
    const Tensor scales = cast(c.in(2), f64);
    if (scales.size() != 4) c.fail("has not a scale for each axis");
    for (std::size_t i = 0; i < 4; ++i) {
      const double size = std::floor(scales.values<double>()[i] * static_cast<double>(x.shape()[i]));
      constexpr double kMost = 1e15;
      if (!(size >= 0 && size < kMost)) c.fail("has a scale that makes no size");
      sizes.push_back(static_cast<std::int64_t>(size));
    }
  }
  if (sizes.size() != 4 || sizes[0] != x.shape()[0] || sizes[1] != x.shape()[1])
    c.fail("resizes other axes than height and width");
  return upsample(x, {.size = {sizes[2], sizes[3]},
                      .mode = is_bilinear(c) ? UpsampleMode::bilinear : UpsampleMode::nearest,
                      .align_corners =
                          is_bilinear(c) && c.text("coordinate_transformation_mode", "") == "align_corners"});
}

}  // namespace

std::vector<OperatorRow> layer_operators() {
  return {
      {"MatMul", 2, 2, run(product)},
      {"Gemm", 2, 3, run(gemm), {"alpha", "beta", "transA", "transB"}},
      {"Conv",
       2,
       3,
       run(convolution),
       {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"},
       check_window},
      {"ConvTranspose",
       2,
       3,
       run(transposed_convolution),
       {"auto_pad", "dilations", "group", "kernel_shape", "output_padding", "pads", "strides"},
       check_window},
      {"MaxPool",
       1,
       1,
       run(max_pool),
       {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"},
       check_window},
      {"AveragePool",
       1,
       1,
       run(average_pool),
       {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"},
       check_window},
      {"GlobalAveragePool", 1, 1, run(global_average)},
      {"BatchNormalization",
       5,
       5,
       run(batch_normalized),
       {"epsilon", "momentum", "training_mode"},
       check_batch_normalization},
      {"Softmax", 1, 1, run(soft_max), {"axis"}},
      {"LogSoftmax", 1, 1, run(log_soft_max), {"axis"}},
      {"Resize",
       1,
       4,
       run(resized),
       {"antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
        "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"},
       check_resize},
  };
}

}  // namespace tapegrad::nn::onnx
