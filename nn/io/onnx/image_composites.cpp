#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include <tapegrad/nn/io/onnx/composites.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/interpolation.h>

namespace tapegrad::nn::onnx {

namespace {

using tapegrad::detail::Interpolation;
using Integers = std::vector<std::int64_t>;

/// A window over the last two axes of images, as operations describe it.
struct WindowAttributes {
  Integers kernel, stride, dilation{1, 1};
  Integers before, after;  // padding

  WindowAttributes(OpContext& c, bool dilated) : kernel(c.integers("kernel")), stride(c.integers("stride")) {
    const Integers padding = c.integers("padding");
    before = {padding[0], padding[2]};
    after = {padding[1], padding[3]};
    if (dilated) dilation = c.integers("dilation");
  }
  /// That of the pooling behind a convolution, which has no padding.
  static WindowAttributes of_pooling(OpContext& c) {
    WindowAttributes w;
    w.kernel = c.integers("pool_kernel");
    w.stride = c.integers("pool_stride");
    w.dilation = c.integers("pool_dilation");
    w.before = w.after = {0, 0};
    return w;
  }

  Attribute pads() const { return {"pads", Integers{before[0], before[1], after[0], after[1]}}; }
  std::int64_t span(std::size_t i) const { return (kernel[i] - 1) * dilation[i] + 1; }
  /// Where the last of so many windows ends, in the padded axis.
  std::int64_t end(std::size_t i, std::int64_t windows) const { return (windows - 1) * stride[i] + span(i); }
  Dim end(std::size_t i, const Dim& windows) const { return windows * stride[i] + Dim{span(i) - stride[i]}; }

 private:
  WindowAttributes() = default;
};

constexpr const char* kSizes[] = {"the height of images", "the width of images"};

/// Height and width where they must not be free.
Integers fixed_image(OpContext& c, const Dims& dims) {
  return {c.fixed(dims[2], kSizes[0]), c.fixed(dims[3], kSizes[1])};
}

/// How far the last window reaches beyond an image, less the padding before it. Where that is no number, windows are
/// not as many as a free size tells.
std::int64_t overhang(OpContext& c, const WindowAttributes& w, std::size_t i) {
  return c.fixed(w.end(i, c.output_dims()[2 + i]) + c.dims(0)[2 + i] * -1, kSizes[i]) - w.before[i];
}

Term padded(OpContext& c, const Term& x, const WindowAttributes& w, double value) {
  const Term pads = c.builder().integers({0, 0, w.before[0], w.before[1], 0, 0, w.after[0], w.after[1]});
  return f("Pad", {x, pads, number(x, value)});
}

/// Of float or double, in the type of `like`.
Tensor of_type(const std::vector<double>& values, const Shape& shape, ElementType type) {
  const Tensor t = Tensor::from(values, shape);
  return type == ElementType::f64 ? t : tapegrad::cast(t, f32);
}

/// Weights [c kh kw, 1, kh, kw] of a convolution in groups that takes each element of a window apart.
Term picking_weights(OpContext& c, std::int64_t channels, const Integers& kernel) {
  const std::int64_t area = kernel[0] * kernel[1];
  std::vector<double> weights(static_cast<std::size_t>(channels * area * area));
  for (std::int64_t i = 0; i < channels * area; ++i)
    weights[static_cast<std::size_t>(i * area + i % area)] = 1;
  const ElementType type = c.output_type();
  return c.builder().constant(of_type(weights, {channels * area, 1, kernel[0], kernel[1]}, type), "window");
}

}  // namespace

Term emit_conv(OpContext& c) {
  const WindowAttributes w(c, true);
  std::vector<Term> inputs{c.input(0), c.input(1)};
  if (c.has_input(2)) inputs.push_back(c.input(2));
  return f("Conv", inputs,
           {{"kernel_shape", w.kernel},
            {"strides", w.stride},
            {"dilations", w.dilation},
            w.pads(),
            {"group", c.integer("groups")}});
}

Term emit_conv_transpose(OpContext& c) {
  const WindowAttributes w(c, true);
  const Dims image = c.sizes("size");
  Integers output_padding;
  for (std::size_t i = 0; i < 2; ++i)
    output_padding.push_back(c.fixed(image[i] + w.end(i, c.dims(0)[2 + i]) * -1, kSizes[i]) + w.before[i] +
                             w.after[i]);
  std::vector<Term> inputs{c.input(0), c.input(1)};
  if (c.has_input(2)) inputs.push_back(c.input(2));
  return f("ConvTranspose", inputs,
           {{"kernel_shape", w.kernel},
            {"strides", w.stride},
            {"dilations", w.dilation},
            w.pads(),
            {"output_padding", output_padding},
            {"group", c.integer("groups")}});
}

namespace {

/// The largest of each window of x, the last of which reach beyond it and the padding before it by `overhangs`.
Term largest(OpContext& c, const Term& x, WindowAttributes w, const Integers& overhangs) {
  // A last window that overhangs is made to fit, as what stands in the padding never is the largest: runtimes count
  // such windows in different ways.
  bool fits = true;
  for (std::size_t i = 0; i < 2; ++i) {
    w.after[i] = std::max(w.after[i], overhangs[i]);
    fits = fits && w.before[i] < w.kernel[i] && w.after[i] < w.kernel[i];
  }
  const std::vector<Attribute> attributes{
      {"kernel_shape", w.kernel}, {"strides", w.stride}, {"dilations", w.dilation}};
  if (!fits)  // the operator takes no padding of a whole kernel
    return f("MaxPool", {padded(c, x, w, -std::numeric_limits<double>::infinity())}, attributes);
  std::vector<Attribute> with_pads = attributes;
  with_pads.push_back(w.pads());
  return f("MaxPool", {x}, with_pads);
}

}  // namespace

Term emit_max_pool(OpContext& c) {
  const WindowAttributes w(c, true);
  return largest(c, c.input(0), w, {overhang(c, w, 0), overhang(c, w, 1)});
}

Term emit_conv_max_pool(OpContext& c) {
  const WindowAttributes conv(c, true), pool = WindowAttributes::of_pooling(c);
  Integers overhangs;
  for (std::size_t i = 0; i < 2; ++i) {
    const Dim room = c.dims(0)[2 + i] + Dim{conv.before[i] + conv.after[i] - conv.span(i)};
    const std::int64_t stride = conv.stride[i];
    const Dim between = (stride == 1 ? room : Dim{c.fixed(room, kSizes[i]) / stride}) + Dim{1};
    overhangs.push_back(c.fixed(pool.end(i, c.output_dims()[2 + i]) + between * -1, kSizes[i]));
  }
  return largest(c, emit_conv(c), pool, overhangs);
}

Term emit_avg_pool(OpContext& c) {
  WindowAttributes w(c, false);
  const bool counts_padding = c.flag("count_include_pad");
  bool overhangs = false;
  for (std::size_t i = 0; i < 2; ++i) overhangs = overhangs || overhang(c, w, i) > w.after[i];
  const std::vector<Attribute> attributes{{"kernel_shape", w.kernel}, {"strides", w.stride}};
  if (!overhangs) {
    std::vector<Attribute> plain = attributes;
    plain.push_back(w.pads());
    plain.push_back({"count_include_pad", std::int64_t{counts_padding}});
    return f("AveragePool", {c.input(0)}, plain);
  }
  // The mean of windows that are made to fit with zeros, times how much larger they are than what is counted.
  const Integers image = fixed_image(c, c.dims(0)), windows = fixed_image(c, c.output_dims());
  std::vector<double> factor[2];
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::int64_t o = 0; o < windows[i]; ++o) {
      const std::int64_t start = o * w.stride[i] - w.before[i], end = start + w.kernel[i];
      const std::int64_t counted = counts_padding
                                       ? std::min(end, image[i] + w.after[i]) - start
                                       : std::min(end, image[i]) - std::max<std::int64_t>(start, 0);
      factor[i].push_back(static_cast<double>(w.kernel[i]) / static_cast<double>(counted));
    }
    w.after[i] = std::max(w.after[i], overhang(c, w, i));
  }
  std::vector<double> factors;
  for (const double of_row : factor[0])
    for (const double of_column : factor[1]) factors.push_back(of_row * of_column);
  // There is no padding to count here, but a runtime that makes one operator of both would have some.
  std::vector<Attribute> counting = attributes;
  counting.push_back({"count_include_pad", std::int64_t{1}});
  const Term mean = f("AveragePool", {padded(c, c.input(0), w, 0)}, counting);
  return mean * c.builder().constant(of_type(factors, {1, 1, windows[0], windows[1]}, mean.type), "divisors");
}

Term emit_adaptive_avg_pool(OpContext& c) {
  const Integers parts = c.integers("size");
  const Term x = c.input(0);
  if (parts == Integers{1, 1}) return f("GlobalAveragePool", {x});
  const Integers image = fixed_image(c, c.dims(0));
  if (image[0] % parts[0] == 0 && image[1] % parts[1] == 0) {
    const Integers kernel{image[0] / parts[0], image[1] / parts[1]};
    return f("AveragePool", {x}, {{"kernel_shape", kernel}, {"strides", kernel}});
  }
  // Parts of different sizes: a product with a matrix of shares from each side.
  const auto shares = [&](std::size_t i, bool columns) {
    std::vector<double> m(static_cast<std::size_t>(parts[i] * image[i]));
    for (std::int64_t p = 0; p < parts[i]; ++p) {
      const std::int64_t first = p * image[i] / parts[i];
      const std::int64_t last = ((p + 1) * image[i] + parts[i] - 1) / parts[i];
      for (std::int64_t k = first; k < last; ++k)
        m[static_cast<std::size_t>(columns ? k * parts[i] + p : p * image[i] + k)] =
            1 / static_cast<double>(last - first);
    }
    const Shape shape = columns ? Shape{image[i], parts[i]} : Shape{parts[i], image[i]};
    return c.builder().constant(of_type(m, shape, x.type), "shares");
  };
  return f("MatMul", {f("MatMul", {shares(0, false), x}), shares(1, true)});
}

Term emit_upsample(OpContext& c) {
  const Dims sizes = c.sizes("size");
  Term x = c.input(0);
  const auto is_multiple = [&](std::size_t i) {
    const Dim& image = c.dims(0)[2 + i];
    // By what stands in front of the free size, or of the number where none is free.
    const auto factor = [](const Dim& d) { return d.is_free() ? d.products[0].factor : d.constant; };
    const std::int64_t times = factor(image) == 0 ? 0 : factor(sizes[i]) / factor(image);
    return image * times == sizes[i];
  };
  if (!c.flag("bilinear") && !(is_multiple(0) && is_multiple(1))) {
    const Integers image = fixed_image(c, c.dims(0)), size = c.integers("size");
    // Runtimes divide by a rounded ratio, and could take the neighbour.
    for (std::size_t i = 0; i < 2; ++i) {
      Integers places;
      for (std::int64_t k = 0; k < size[i]; ++k)
        places.push_back(tapegrad::detail::place_of(k, image[i], size[i], Interpolation{}).first);
      x = f("Gather", {x, c.builder().integers(places)}, {{"axis", static_cast<std::int64_t>(2 + i)}});
    }
    return x;
  }
  const auto text = [](const char* name, const char* value) { return Attribute{name, std::string(value)}; };
  std::vector<Attribute> attributes;
  if (c.flag("bilinear"))
    attributes = {text("mode", "linear"), text("coordinate_transformation_mode",
                                               c.flag("align_corners") ? "align_corners" : "half_pixel")};
  else
    attributes = {text("mode", "nearest"), text("coordinate_transformation_mode", "asymmetric"),
                  text("nearest_mode", "floor")};
  return f("Resize", {x, Term{}, Term{}, c.builder().sizes(c.output_dims())}, attributes);
}

Term emit_im2col(OpContext& c) {
  const WindowAttributes w(c, true);
  const std::int64_t channels = c.fixed(c.dims(0)[1], "the number of channels");
  const Term windows = f("Conv", {c.input(0), picking_weights(c, channels, w.kernel)},
                         {{"kernel_shape", w.kernel},
                          {"strides", w.stride},
                          {"dilations", w.dilation},
                          w.pads(),
                          {"group", channels}});
  return f("Reshape", {windows, c.builder().sizes(c.output_dims())});
}

Term emit_col2im(OpContext& c) {
  const WindowAttributes w(c, true);
  const Integers image = c.integers("image");
  const std::int64_t channels = c.fixed(c.output_dims()[1], "the number of channels");
  Integers windows, output_padding;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t padded = w.before[i] + image[i] + w.after[i];
    windows.push_back((padded - w.span(i)) / w.stride[i] + 1);
    output_padding.push_back(padded - w.end(i, windows[i]));
  }
  Dims planes = c.dims(0);
  planes.pop_back();
  for (const std::int64_t n : windows) planes.push_back({n});
  const Term columns = f("Reshape", {c.input(0), c.builder().sizes(planes)});
  return f("ConvTranspose", {columns, picking_weights(c, channels, w.kernel)},
           {{"kernel_shape", w.kernel},
            {"strides", w.stride},
            {"dilations", w.dilation},
            w.pads(),
            {"output_padding", output_padding},
            {"group", channels}});
}

}  // namespace tapegrad::nn::onnx
