// Convolutions in which each channel has a kernel of its own, or a few of them, beside sums over every plane and place
// of the kernel in double.

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include <tapegrad/ops/neural/window.h>

#include "both_rules.h"
#include "kernel_support.h"
#include "op_support.h"

namespace depthwise_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Images [n, channels, rows, columns] and weights [channels many, 1, kernel].
struct Case {
  std::int64_t n = 1, channels = 3, many = 1, rows = 8, columns = 8;
  std::array<std::int64_t, 2> kernel{3, 3}, stride{1, 1}, padding{1, 1}, dilation{1, 1};

  std::int64_t windows(std::size_t axis) const {
    const std::int64_t padded = (axis == 0 ? rows : columns) + 2 * padding[axis];
    return (padded - (kernel[axis] - 1) * dilation[axis] - 1) / stride[axis] + 1;
  }
  bool fits() const {
    return rows + 2 * padding[0] > (kernel[0] - 1) * dilation[0] &&
           columns + 2 * padding[1] > (kernel[1] - 1) * dilation[1];
  }
  Shape x() const { return {n, channels, rows, columns}; }
  Shape weight() const { return {channels * many, 1, kernel[0], kernel[1]}; }
  Shape y() const { return {n, channels * many, windows(0), windows(1)}; }
  Conv2dOptions options() const {
    return {.stride = stride, .padding = {padding[0], padding[1]}, .dilation = dilation, .groups = channels};
  }

  /// f(index in x, in the weight, in y) for each term.
  template <class F>
  void for_each_term(const F& f) const {
    const std::int64_t height = windows(0), width = windows(1), area = kernel[0] * kernel[1];
    for (std::int64_t plane = 0; plane < n * channels * many; ++plane)
      for (std::int64_t k = 0; k < area; ++k)
        for (std::int64_t i = 0; i < height; ++i)
          for (std::int64_t j = 0; j < width; ++j) {
            const std::int64_t row = i * stride[0] + k / kernel[1] * dilation[0] - padding[0];
            const std::int64_t column = j * stride[1] + k % kernel[1] * dilation[1] - padding[1];
            if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
            f(static_cast<std::size_t>((plane / many * rows + row) * columns + column),
              static_cast<std::size_t>(plane % (channels * many) * area + k),
              static_cast<std::size_t>((plane * height + i) * width + j));
          }
  }
};

std::string to_string(const Case& c) {
  AttributeText text;
  tapegrad::detail::describe_window(text, {.kernel = c.kernel,
                                           .stride = c.stride,
                                           .padding = tapegrad::detail::both_sides(c.padding),
                                           .dilation = c.dilation});
  return tapegrad::to_string(c.x()) + " * " + tapegrad::to_string(c.weight()) + ", " + text.text();
}

/// A layer's numbers, and its results and gradients as sums.
struct Values {
  Tensor x, weight, bias, g;
  std::vector<double> y, dx, dw;

  Values(const Case& c, Dtype dtype)
      : Values(c, random(c.x(), dtype, -2, 2, 1), random(c.weight(), dtype, -2, 2, 2),
               random({c.channels * c.many}, dtype, -2, 2, 3), random(c.y(), dtype, -2, 2, 4)) {}
  Values(const Case& c, const Tensor& x_, const Tensor& weight_, const Tensor& bias_, const Tensor& g_)
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

std::vector<double> times(std::vector<double> v, double factor) {
  for (double& e : v) e *= factor;
  return v;
}

/// x with numbers at some places.
Tensor with_numbers(const Tensor& x, const std::vector<std::pair<std::size_t, double>>& places) {
  std::vector<double> v = numbers(x);
  for (const auto& [place, number] : places) v[place] = number;
  return cast(Tensor::from(v, x.shape()), x.dtype());
}

/// y, and the gradients of x and the weight.
std::vector<Tensor> results(const Case& c, const Tensor& x, const Tensor& w, const Tensor& g) {
  Tape tape;
  const Tensor leaf = tape.watch(x), weight = tape.watch(w);
  const Tensor y = conv2d(leaf, weight, Tensor(), c.options());
  const Gradients grads = tape.backward(y, g);
  return {y, grads[leaf], grads[weight]};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(depthwise)

BOOST_AUTO_TEST_CASE(values_and_gradients_at_random_shapes) {
  std::mt19937 random(1);
  const auto from = [&](std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
  };
  for (int i = 0; i < 80;) {
    Case c{.n = i % 8 == 7   ? 0
                : i % 3 == 0 ? 3
                             : 1,
           .channels = from(1, 4),
           .many = i % 5 == 4 ? from(2, 5) : 1,
           .rows = from(1, 40),
           .columns = from(1, 40),
           .stride = {from(1, 2), from(1, 2)},
           .padding = {from(0, 3), from(0, 3)}};
    if (i % 4 == 1) c.kernel = {from(1, 8), from(1, 8)};
    if (i % 4 == 3) c.kernel = {5, 5};
    if (i % 2 == 0) c.stride[1] = c.stride[0];
    if (i % 10 == 9) c.dilation = {from(1, 2), from(1, 3)};
    if (!c.fits()) continue;
    const Dtype dtype = i % 2 ? f32 : f64;
    const Values v(c, dtype);
    const double tolerance = 16 * product_tolerance(dtype);  // sums of weights have a thousand terms
    const auto run = [&] {
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
    };
    BOOST_TEST_CONTEXT(to_string(c) << " of " << name_of(dtype)) {
      if (i % 2 == 0)
        for_each_isa([&] { with_both_rules(run); });
      else
        for_each_isa(run);
    }
    ++i;
  }
}

BOOST_AUTO_TEST_CASE(planes_in_several_bands) {
  for (const std::int64_t stride : {1, 2}) {
    const Case c{.n = 2, .channels = 1, .rows = 101, .columns = 203, .stride = {stride, stride}};
    const Values v(c, f64);
    for_each_isa([&] {
      const auto r = results(c, v.x, v.weight, v.g);
      check_tensor(conv2d(v.x, v.weight, v.bias, c.options()), c.y(), v.y, product_tolerance(f64));
      check_tensor(r[1], c.x(), v.dx, product_tolerance(f64));
      check_tensor(r[2], c.weight(), v.dw, 64 * product_tolerance(f64));
    });
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_finite) {
  for (const std::int64_t stride : {1, 2})
    for (const Dtype dtype : {f32, f64}) {
      const Case c{.n = 2, .rows = 9, .columns = 19, .stride = {stride, stride}};
      const Values finite(c, dtype);
      const auto plane = static_cast<std::size_t>(c.rows * c.columns);
      // At the start of a line and at its end, so that what lies between lines is met, and side by side.
      const std::vector<std::pair<std::size_t, double>> places{
          {19, kInf}, {40, kInf}, {42, -kInf}, {plane - 1, kNan}, {2 * plane + 18, -kInf}};
      const auto out = static_cast<std::size_t>(c.windows(0) * c.windows(1));
      const Values x(c, with_numbers(finite.x, places), finite.weight, finite.bias, finite.g);
      const Values g(c, finite.x, finite.weight, finite.bias,
                     with_numbers(finite.g, {{0, kInf}, {out + 7, kNan}, {3 * out - 1, -kInf}}));
      const double tolerance = 4 * product_tolerance(dtype);
      for_each_isa([&] {
        with_both_rules([&] {
          check_tensor(conv2d(x.x, x.weight, x.bias, c.options()), c.y(), x.y, tolerance);
          check_tensor(results(c, x.x, x.weight, x.g)[2], c.weight(), x.dw, tolerance);
          const auto r = results(c, g.x, g.weight, g.g);
          check_tensor(r[1], c.x(), g.dx, tolerance);
          check_tensor(r[2], c.weight(), g.dw, tolerance);
        });
        // Around the images lies a number as others are: 0, which an infinite weight makes a NaN of.
        const Tensor w = with_numbers(finite.weight, {{0, kInf}});
        BOOST_TEST(std::isnan(numbers(conv2d(finite.x, w, Tensor(), c.options()))[0]));
        Tensor relu = conv2d_relu(x.x, x.weight, x.bias, c.options());
        std::vector<double> above_zero = x.y;
        for (double& e : above_zero) e = e <= 0 ? 0 : e;
        check_tensor(relu, c.y(), above_zero, tolerance);
      });
    }
}

BOOST_AUTO_TEST_CASE(equal_bits_for_any_number_of_threads) {
  for (const std::int64_t stride : {1, 2}) {
    const Case c{.n = 5, .channels = 40, .rows = 45, .columns = 43, .stride = {stride, stride}};
    const Tensor x = random(c.x(), f32, -1, 1, 1), w = random(c.weight(), f32, -1, 1, 2);
    const Tensor g = random(c.y(), f32, -1, 1, 3);
    check_bits_for_threads([&] { return results(c, x, w, g); });
  }
}

BOOST_AUTO_TEST_CASE(images_do_not_depend_on_each_other) {
  const Case c{.n = 5, .channels = 7, .rows = 9, .columns = 23};
  const Tensor x = random(c.x(), f32, -1, 1, 1), w = random(c.weight(), f32, -1, 1, 2);
  const auto layer = [&](const Tensor& images) { return conv2d(images, w, Tensor(), c.options()); };
  const auto image = [](const Tensor& all, std::int64_t i) { return numbers(slice(all, 0, i, i + 1)); };
  const Tensor y = layer(x);
  for (std::int64_t i = 0; i < c.n; ++i)
    BOOST_TEST((numbers(layer(slice(x, 0, i, i + 1))) == image(y, i)), "image " << i);
  const Tensor nan = Tensor::full({1, c.channels, c.rows, c.columns}, kNan, f32);
  const Tensor beside = layer(concat({slice(x, 0, 0, 2), nan, slice(x, 0, 3)}, 0));
  for (const std::int64_t i : {0, 1, 3, 4}) BOOST_TEST((image(beside, i) == image(y, i)), "image " << i);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace depthwise_test
