#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <tapegrad/nn/io/onnx/node_call.h>
#include <tapegrad/ops/ops.h>

#include <fmt/format.h>

namespace tapegrad::nn::onnx {

namespace {

using Integers = std::vector<std::int64_t>;

// ---- products ----

Tensor gemm(const NodeCall& c) {
  const Tensor &a = c.in(0), &b = c.in(1);
  const bool transpose_a = c.integer("transA", 0) != 0, transpose_b = c.integer("transB", 0) != 0;
  const double alpha = c.number("alpha", 1), beta = c.number("beta", 1);
  const bool plain = !transpose_a && alpha == 1 && beta == 1;
  // A vector of one number for all columns is added by broadcasting, which affine does not do.
  const auto is_bias = [&](const Tensor& t) {
    return t.rank() == 1 && b.rank() == 2 && t.dim(0) == b.dim(transpose_b ? 0 : 1);
  };
  if (plain && c.has(2) && a.rank() == 2 && is_bias(c.in(2)))
    return affine(a, transpose_b ? transpose(b) : b, c.in(2));
  Tensor y = matmul(a, b, {.transpose_a = transpose_a, .transpose_b = transpose_b});
  if (alpha != 1) y = alpha * y;
  if (!c.has(2)) return y;
  return y + (beta == 1 ? c.in(2) : beta * c.in(2));
}

Tensor product(const NodeCall& c) { return matmul(c.in(0), c.in(1)); }

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
        "linear with half_pixel, pytorch_half_pixel or align_corners",
        mode, places));
  if (c.integer("antialias", 0) || c.text("keep_aspect_ratio_policy", "stretch") != "stretch")
    c.fail("resizes in a way that is not known here");
}

/// A scale is of f32, so that its product with a size misses a whole number by its rounding, and other tools compute
/// the product in f32. Where that is no whole number, elements are found by the scale itself, and upsample goes by the
/// sizes, which would drift apart.
std::int64_t scaled_size(const NodeCall& c, double scale, std::int64_t size) {
  const double scaled = scale * static_cast<double>(size), whole = std::round(scaled);
  constexpr double kMost = 1e15, kLargestDrift = 1e-3;
  if (!(scaled >= 0 && scaled < kMost)) c.fail("has a scale that makes no size");
  const double rounding =
      std::min(kLargestDrift, scaled * static_cast<double>(std::numeric_limits<float>::epsilon()));
  const bool is_near =
      std::abs(scaled - whole) <= rounding && std::floor(static_cast<float>(scaled)) == whole;
  if (scaled != whole && !is_near)
    c.fail(fmt::format(
        "resizes {} elements by {}, which makes no whole number of them, and is not known here; export it "
        "with sizes in place of scales",
        size, scale));
  return static_cast<std::int64_t>(whole);
}

Tensor resized(const NodeCall& c) {
  Tensor x = c.in(0);
  if (x.rank() != 4) c.fail(fmt::format("takes images [n, c, h, w], not {}", to_string(x.shape())));
  Integers sizes;
  if (c.has(3)) {
    sizes = c.integers_in(3);
  } else {
    const Tensor scales = cast(c.in(2), f64);
    if (scales.size() != 4) c.fail("has not a scale for each axis");
    for (std::size_t i = 0; i < 4; ++i)
      sizes.push_back(scaled_size(c, scales.values<double>()[i], x.shape()[i]));
  }
  if (sizes.size() != 4 || sizes[0] != x.shape()[0] || sizes[1] != x.shape()[1])
    c.fail("resizes other axes than height and width");
  // These coordinates take a single element of an axis from its start; upsample takes it from the middle, as the other
  // coordinates do.
  if (c.text("coordinate_transformation_mode", "") == "pytorch_half_pixel")
    for (const std::size_t axis : {2, 3})
      if (sizes[axis] == 1) x = slice(x, static_cast<std::int64_t>(axis), 0, 1);
  return upsample(x, {.size = {sizes[2], sizes[3]},
                      .mode = is_bilinear(c) ? UpsampleMode::bilinear : UpsampleMode::nearest,
                      .align_corners =
                          is_bilinear(c) && c.text("coordinate_transformation_mode", "") == "align_corners"});
}

}  // namespace

std::vector<OperatorRow> layer_operators() {
  return {
      {"MatMul", 2, 2, one_output(product)},
      {"Gemm", 2, 3, one_output(gemm), {"alpha", "beta", "transA", "transB"}},
      {"BatchNormalization",
       5,
       5,
       one_output(batch_normalized),
       {"epsilon", "momentum", "training_mode"},
       check_batch_normalization},
      {"Softmax", 1, 1, one_output(soft_max), {"axis"}},
      {"LogSoftmax", 1, 1, one_output(log_soft_max), {"axis"}},
      {"Resize",
       1,
       4,
       one_output(resized),
       {"antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
        "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"},
       check_resize},
  };
}

}  // namespace tapegrad::nn::onnx
