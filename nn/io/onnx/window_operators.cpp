#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include <tapegrad/nn/io/onnx/node_call.h>
#include <tapegrad/ops/ops.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

using Integers = std::vector<std::int64_t>;

/// Above the sizes of any memory, and so small that products of two of them are numbers of 64 bits.
constexpr std::int64_t kMostSize = std::int64_t{1} << 31;

bool is_same(const NodeCall& c) { return c.text("auto_pad", "NOTSET").starts_with("SAME"); }

/// What convolutions and pooling say of their windows, for images or sequences.
struct Windows {
  Integers image, kernel, stride, dilation;
  Integers before, after;  // padding
  std::size_t axes;

  Windows(const NodeCall& c, const Integers& default_kernel) : axes(default_kernel.size()) {
    image.assign(c.in(0).shape().dims().begin() + 2, c.in(0).shape().dims().end());
    const Integers pads = c.integers("pads", Integers(2 * axes, 0));
    stride = c.integers("strides", Integers(axes, 1));
    dilation = c.integers("dilations", Integers(axes, 1));
    kernel = c.integers("kernel_shape", default_kernel);
    if (stride.size() != axes || dilation.size() != axes || pads.size() != 2 * axes || kernel.size() != axes)
      c.fail("has lists of another length than there are axes");
    const auto is_outside = [](std::int64_t least) {
      return [=](std::int64_t value) { return value < least || value >= kMostSize; };
    };
    for (const Integers* sizes : {&stride, &dilation, &kernel})
      if (std::ranges::any_of(*sizes, is_outside(1)))
        c.fail("has a kernel, stride or dilation that is not between 1 and 2^31");
    if (std::ranges::any_of(image, is_outside(0))) c.fail("takes an image that is too large");
    if (std::ranges::any_of(pads, is_outside(0))) c.fail("has a padding that is not between 0 and 2^31");
    const std::string auto_pad = c.text("auto_pad", "NOTSET");
    if (auto_pad != "NOTSET" && std::ranges::any_of(pads, [](std::int64_t p) { return p != 0; }))
      c.fail(fmt::format("has auto_pad {} and pads, which exclude each other", auto_pad));
    before.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(axes));
    after.assign(pads.begin() + static_cast<std::ptrdiff_t>(axes), pads.end());
  }

  std::int64_t span(std::size_t i) const { return (kernel[i] - 1) * dilation[i] + 1; }
  /// Of an odd number the odd one stands behind the image for SAME_UPPER, and else before it.
  void distribute(const NodeCall& c, std::size_t i, std::int64_t padding) {
    const bool upper = c.text("auto_pad", "NOTSET") == "SAME_UPPER";
    before[i] = upper ? padding / 2 : padding - padding / 2;
    after[i] = padding - before[i];
  }
  /// SAME_UPPER and SAME_LOWER: as much padding as ceil(size / stride) windows need.
  void pad_for_same_size(const NodeCall& c) {
    for (std::size_t i = 0; i < axes && is_same(c); ++i) {
      const std::int64_t windows = (image[i] + stride[i] - 1) / stride[i];
      distribute(c, i, std::max<std::int64_t>((windows - 1) * stride[i] + span(i) - image[i], 0));
    }
  }

  template <std::size_t N>
  static Sizes<N> sizes(const Integers& values) {
    Sizes<N> s;
    std::copy_n(values.begin(), N, &s[0]);
    return s;
  }
  template <std::size_t N>
  std::array<Padding, N> padding() const {
    std::array<Padding, N> p;
    for (std::size_t i = 0; i < N; ++i) p[i] = {before[i], after[i]};
    return p;
  }
};

std::size_t spatial_axes(const NodeCall& c) {
  const std::size_t rank = c.in(0).rank();
  if (rank < 3) c.fail(fmt::format("takes images or sequences, not {}", to_string(c.in(0).shape())));
  if (rank > 4) c.fail(fmt::format("slides along {} axes; one and two are known here", rank - 2));
  return rank - 2;
}

void check_windows(const NodeCall& c) {
  const std::string auto_pad = c.text("auto_pad", "NOTSET");
  for (const char* known : {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"})
    if (auto_pad == known) {
      if (c.integer("storage_order", 0)) c.fail("has a storage order other than 0");
      return;
    }
  c.fail(fmt::format("has auto_pad {}; NOTSET, VALID, SAME_UPPER and SAME_LOWER are known here", auto_pad));
}

// ---- convolutions ----

Windows windows_of_weights(const NodeCall& c) {
  const std::size_t axes = spatial_axes(c);
  const Shape& weights = c.in(1).shape();
  if (weights.rank() != axes + 2)
    c.fail(fmt::format("has weights {} for inputs {}", to_string(weights), to_string(c.in(0).shape())));
  const Integers kernel(weights.dims().begin() + 2, weights.dims().end());
  Windows w(c, kernel);
  if (w.kernel != kernel)
    c.fail(fmt::format("has another kernel_shape than its weights {}", to_string(weights)));
  return w;
}

Tensor bias_of(const NodeCall& c) { return c.has(2) ? c.in(2) : Tensor(); }

template <std::size_t N>
ConvOptions<N> conv_options(const NodeCall& c, const Windows& w) {
  return {.stride = Windows::sizes<N>(w.stride),
          .padding = w.padding<N>(),
          .dilation = Windows::sizes<N>(w.dilation),
          .groups = c.integer("group", 1)};
}

Tensor convolution(const NodeCall& c) {
  Windows w = windows_of_weights(c);
  w.pad_for_same_size(c);
  if (w.axes == 1) return conv1d(c.in(0), c.in(1), bias_of(c), conv_options<1>(c, w));
  return conv2d(c.in(0), c.in(1), bias_of(c), conv_options<2>(c, w));
}

/// The padding of a transposed convolution that says how large its results are: output_shape, or the stride times as
/// large as its inputs (SAME_UPPER, SAME_LOWER). What windows do not reach stands at the end.
void pad_for_results(const NodeCall& c, Windows& w, Integers& output_padding) {
  Integers results = c.integers("output_shape");
  if (results.empty() && !is_same(c)) return;
  if (results.empty())
    for (std::size_t i = 0; i < w.axes; ++i) results.push_back(w.image[i] * w.stride[i]);
  if (results.size() != w.axes) c.fail("has lists of another length than there are axes");
  for (std::size_t i = 0; i < w.axes; ++i) {
    if (results[i] < 0 || results[i] >= kMostSize * kMostSize) c.fail("has an impossible output_shape");
    const std::int64_t all = (w.image[i] - 1) * w.stride[i] + output_padding[i] + w.span(i);
    w.distribute(c, i, std::max<std::int64_t>(all - results[i], 0));
    output_padding[i] += std::max<std::int64_t>(results[i] - all, 0);
  }
}

Tensor transposed_convolution(const NodeCall& c) {
  Windows w = windows_of_weights(c);
  Integers output_padding = c.integers("output_padding", Integers(w.axes, 0));
  if (output_padding.size() != w.axes) c.fail("has lists of another length than there are axes");
  if (std::ranges::any_of(output_padding, [](std::int64_t p) { return p < 0 || p >= kMostSize; }))
    c.fail("has an output_padding that is not between 0 and 2^31");
  pad_for_results(c, w, output_padding);
  const auto options = [&]<std::size_t N>() {
    return ConvTransposeOptions<N>{.stride = Windows::sizes<N>(w.stride),
                                   .padding = w.padding<N>(),
                                   .output_padding = Windows::sizes<N>(output_padding),
                                   .dilation = Windows::sizes<N>(w.dilation),
                                   .groups = c.integer("group", 1)};
  };
  if (w.axes == 1) return conv_transpose1d(c.in(0), c.in(1), bias_of(c), options.operator()<1>());
  return conv_transpose2d(c.in(0), c.in(1), bias_of(c), options.operator()<2>());
}

// ---- pooling ----

/// Windows of a pooling, and images to pool; sequences are images of one row, so that there is one way for both.
struct Pooling {
  Windows windows;
  Tensor images;
  bool ceil_mode;

  explicit Pooling(const NodeCall& c)
      : windows(c, Integers(spatial_axes(c), 0)), images(c.in(0)), ceil_mode(c.integer("ceil_mode", 0) != 0) {
    windows.pad_for_same_size(c);
    if (windows.axes == 2) return;
    const auto with_front = [](Integers& values, std::int64_t front) {
      values.insert(values.begin(), front);
    };
    for (Integers* sizes : {&windows.image, &windows.kernel, &windows.stride, &windows.dilation})
      with_front(*sizes, 1);
    with_front(windows.before, 0), with_front(windows.after, 0);
    windows.axes = 2;
    images = unsqueeze(images, 2);
  }

  /// Whether the library's pooling has this padding: the same on both sides, at most half of the kernel.
  bool has_library_padding() const {
    for (std::size_t i = 0; i < windows.axes; ++i)
      if (windows.before[i] != windows.after[i] || windows.before[i] > windows.kernel[i] / 2) return false;
    return true;
  }
  Sizes<2> library_padding() const {
    return has_library_padding() ? Windows::sizes<2>(windows.before) : Sizes<2>();
  }
  /// Images with a padding that the library's pooling does not have. In ceil_mode no window starts in the padding at
  /// the end, which then ends where the last window does: behind it the library knows no padding.
  Tensor padded(const Tensor& x, double value) const {
    if (has_library_padding()) return x;
    std::vector<Padding> all(x.rank());
    for (std::size_t i = 0; i < windows.axes; ++i) {
      const std::int64_t stride = windows.stride[i];
      const std::int64_t start = windows.before[i] + windows.image[i];
      const std::int64_t moves = start + windows.after[i] - windows.span(i);
      std::int64_t after = windows.after[i];
      if (ceil_mode && moves >= 0) {
        std::int64_t last = (moves + stride - 1) / stride;
        if (last * stride >= start) --last;
        after = std::clamp<std::int64_t>(last * stride + windows.span(i) - start, 0, after);
      }
      all[2 + i] = {windows.before[i], after};
    }
    return pad(x, std::span<const Padding>(all), value);
  }
  Tensor of_rank(const NodeCall& c, const Tensor& y) const { return c.in(0).rank() == 3 ? squeeze(y, 2) : y; }
};

Tensor max_pool(const NodeCall& c) {
  const Pooling p(c);
  const Tensor x = p.padded(p.images, -std::numeric_limits<double>::infinity());
  return p.of_rank(c, max_pool2d(x, {.kernel = Windows::sizes<2>(p.windows.kernel),
                                     .stride = Windows::sizes<2>(p.windows.stride),
                                     .padding = p.library_padding(),
                                     .dilation = Windows::sizes<2>(p.windows.dilation),
                                     .ceil_mode = p.ceil_mode}));
}

Tensor average_pool(const NodeCall& c) {
  const Pooling p(c);
  const bool counts_padding = c.integer("count_include_pad", 0) != 0;
  if (p.windows.dilation != Integers{1, 1}) c.fail("is dilated, which is not known here");
  const auto mean_of = [&](const Tensor& x) {
    return avg_pool2d(p.padded(x, 0), {.kernel = Windows::sizes<2>(p.windows.kernel),
                                       .stride = Windows::sizes<2>(p.windows.stride),
                                       .padding = p.library_padding(),
                                       .ceil_mode = p.ceil_mode,
                                       .count_include_pad = counts_padding});
  };
  const Tensor mean = mean_of(p.images);
  if (counts_padding || p.has_library_padding()) return p.of_rank(c, mean);
  // A mean over the padding, too, by what part of the window is image.
  const Tensor ones = Tensor::ones({1, 1, p.windows.image[0], p.windows.image[1]}, p.images.dtype());
  return p.of_rank(c, mean / mean_of(ones));
}

Tensor global_average(const NodeCall& c) {
  Integers axes;
  for (std::size_t i = 2; i < c.in(0).rank(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  return mean(c.in(0), Axes(std::span<const std::int64_t>(axes)), KeepDims::yes);
}

}  // namespace

std::vector<OperatorRow> window_operators() {
  return {
      {"Conv",
       2,
       3,
       one_output(convolution),
       {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"},
       check_windows},
      {"ConvTranspose",
       2,
       3,
       one_output(transposed_convolution),
       {"auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads",
        "strides"},
       check_windows},
      {"MaxPool",
       1,
       1,
       one_output(max_pool),
       {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"},
       check_windows},
      {"AveragePool",
       1,
       1,
       one_output(average_pool),
       {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"},
       check_windows},
      {"GlobalAveragePool", 1, 1, one_output(global_average)},
  };
}

}  // namespace tapegrad::nn::onnx
