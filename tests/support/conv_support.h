#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/ops/neural/window.h>

#include "both_rules.h"
#include "kernel_support.h"
#include "op_support.h"

/// Convolutions beside sums over every image, channel and place of the kernel in double.
namespace tapegrad::test {

/// A convolution of images [n, groups in, rows, columns] with weights [groups out, in, kernel].
struct ConvCase {
  std::int64_t n = 1, groups = 1, in = 1, out = 1, rows = 8, columns = 8;
  std::array<std::int64_t, 2> kernel{3, 3}, stride{1, 1}, padding{1, 1}, dilation{1, 1};

  std::int64_t windows(std::size_t axis) const {
    const std::int64_t padded = (axis == 0 ? rows : columns) + 2 * padding[axis];
    return (padded - (kernel[axis] - 1) * dilation[axis] - 1) / stride[axis] + 1;
  }
  bool fits() const {
    return rows + 2 * padding[0] > (kernel[0] - 1) * dilation[0] &&
           columns + 2 * padding[1] > (kernel[1] - 1) * dilation[1];
  }
  Shape x() const { return {n, groups * in, rows, columns}; }
  Shape weight() const { return {groups * out, in, kernel[0], kernel[1]}; }
  Shape y() const { return {n, groups * out, windows(0), windows(1)}; }
  Conv2dOptions options() const {
    return {.stride = stride, .padding = {padding[0], padding[1]}, .dilation = dilation, .groups = groups};
  }

  /// f(index in x, in the weight, in y) for each term.
  template <class F>
  void for_each_term(const F& f) const {
    const std::int64_t height = windows(0), width = windows(1), area = kernel[0] * kernel[1];
    for (std::int64_t plane = 0; plane < n * groups * out * in; ++plane) {
      const std::int64_t result = plane / in;  // of all images
      const std::int64_t x = (result / out * in + plane % in) * rows;
      const std::int64_t weight = (result % (groups * out) * in + plane % in) * area;
      for (std::int64_t k = 0; k < area; ++k)
        for (std::int64_t i = 0; i < height; ++i)
          for (std::int64_t j = 0; j < width; ++j) {
            const std::int64_t row = i * stride[0] + k / kernel[1] * dilation[0] - padding[0];
            const std::int64_t column = j * stride[1] + k % kernel[1] * dilation[1] - padding[1];
            if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
            f(static_cast<std::size_t>((x + row) * columns + column), static_cast<std::size_t>(weight + k),
              static_cast<std::size_t>((result * height + i) * width + j));
          }
    }
  }
};

inline std::string to_string(const ConvCase& c) {
  AttributeText text;
  tapegrad::detail::describe_window(text, {.kernel = c.kernel,
                                           .stride = c.stride,
                                           .padding = tapegrad::detail::both_sides(c.padding),
                                           .dilation = c.dilation});
  return tapegrad::to_string(c.x()) + " * " + tapegrad::to_string(c.weight()) + ", " + text.text();
}

/// A layer's numbers, and its results and gradients as sums.
struct ConvValues {
  Tensor x, weight, bias, g;
  std::vector<double> y, dx, dw;

  ConvValues(const ConvCase& c, Dtype dtype)
      : ConvValues(c, random(c.x(), dtype, -2, 2, 1), random(c.weight(), dtype, -2, 2, 2),
                   random({c.groups * c.out}, dtype, -2, 2, 3), random(c.y(), dtype, -2, 2, 4)) {}
  ConvValues(const ConvCase& c, const Tensor& x_, const Tensor& weight_, const Tensor& bias_,
             const Tensor& g_)
      : x(x_), weight(weight_), bias(bias_), g(g_) {
    const auto xv = numbers(x), wv = numbers(weight), bv = numbers(bias), gv = numbers(g);
    y.resize(gv.size()), dx.resize(xv.size()), dw.resize(wv.size());
    const auto plane = static_cast<std::size_t>(c.windows(0) * c.windows(1));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = bv[i / plane % bv.size()];
    c.for_each_term([&](std::size_t i, std::size_t k, std::size_t j) {
      y[j] += xv[i] * wv[k];
      dx[i] += gv[j] * wv[k];
      dw[k] += gv[j] * xv[i];
    });
  }
};

inline std::vector<double> times(std::vector<double> v, double factor) {
  for (double& e : v) e *= factor;
  return v;
}

/// x with numbers at some places.
inline Tensor with_numbers(const Tensor& x, const std::vector<std::pair<std::size_t, double>>& places) {
  std::vector<double> v = numbers(x);
  for (const auto& [place, number] : places) v[place] = number;
  return cast(Tensor::from(v, x.shape()), x.dtype());
}

/// y, and the gradients of x and the weight.
inline std::vector<Tensor> results(const ConvCase& c, const Tensor& x, const Tensor& w, const Tensor& g) {
  Tape tape;
  const Tensor leaf = tape.watch(x), weight = tape.watch(w);
  const Tensor y = conv2d(leaf, weight, Tensor(), c.options());
  const Gradients grads = tape.backward(y, g);
  return {y, grads[leaf], grads[weight]};
}

/// Values and both gradients of a layer beside the sums, used once and twice; and with a ReLU.
inline void check_conv(const ConvCase& c, const ConvValues& v, double tolerance) {
  for (const double uses : {1, 2}) {  // a second use adds to the gradients that are there
    Tape tape;
    const Tensor x = tape.watch(v.x), weight = tape.watch(v.weight);
    Tensor y = conv2d(x, weight, v.bias, c.options());
    check_tensor(y, c.y(), v.y, tolerance);
    if (uses == 2) y = y + conv2d(x, weight, v.bias, c.options());
    const Gradients grads = tape.backward(y, v.g);
    check_tensor(grads[x], c.x(), times(v.dx, uses), tolerance);
    check_tensor(grads[weight], c.weight(), times(v.dw, uses), tolerance);
  }
  std::vector<double> above_zero = v.y;
  for (double& e : above_zero) e = std::max(e, 0.0);
  check_tensor(conv2d_relu(v.x, v.weight, v.bias, c.options()), c.y(), above_zero, tolerance);
}

/// Each image of a batch of five has the bits that it has alone, also beside one of NaN.
inline void check_images_are_independent(const ConvCase& c) {
  const Tensor x = random(c.x(), f32, -1, 1, 1), w = random(c.weight(), f32, -1, 1, 2);
  const auto layer = [&](const Tensor& images) { return conv2d(images, w, Tensor(), c.options()); };
  const auto image = [](const Tensor& all, std::int64_t i) { return numbers(slice(all, 0, i, i + 1)); };
  const Tensor y = layer(x);
  for (std::int64_t i = 0; i < c.n; ++i)
    BOOST_TEST((numbers(layer(slice(x, 0, i, i + 1))) == image(y, i)), "image " << i);
  const Tensor nan = Tensor::full({1, c.groups * c.in, c.rows, c.columns}, kNan, f32);
  const Tensor beside = layer(concat({slice(x, 0, 0, 2), nan, slice(x, 0, 3)}, 0));
  for (const std::int64_t i : {0, 1, 3, 4}) BOOST_TEST((image(beside, i) == image(y, i)), "image " << i);
}

}  // namespace tapegrad::test
