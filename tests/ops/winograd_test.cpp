// Convolutions with kernels of 3 x 3 by Winograd's minimal filtering, beside sums over every image, channel and place
// of the kernel in double.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "both_rules.h"
#include "kernel_support.h"
#include "op_support.h"

namespace winograd_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Images [n, groups in, rows, columns] and weights [groups out, in, 3, 3]. Sixteen channels and as many tiles are
/// enough for all three ways through a layer.
struct Case {
  std::int64_t n = 1, groups = 1, in = 16, out = 16, rows = 8, columns = 8;
  std::int64_t above = 1, left = 1;  ///< padding, as much as on the other side

  std::int64_t height() const { return rows + 2 * above - 2; }
  std::int64_t width() const { return columns + 2 * left - 2; }
  Shape x() const { return {n, groups * in, rows, columns}; }
  Shape weight() const { return {groups * out, in, 3, 3}; }
  Shape y() const { return {n, groups * out, height(), width()}; }
  Conv2dOptions options() const { return {.padding = {above, left}, .groups = groups}; }

  /// f(index in x, in the weight, in y) for each term.
  template <class F>
  void for_each_term(const F& f) const {
    for (std::int64_t image = 0; image < n; ++image)
      for (std::int64_t o = 0; o < groups * out; ++o)
        for (std::int64_t c = 0; c < in; ++c)
          for (std::int64_t k = 0; k < 9; ++k) {
            const std::int64_t channel = (image * groups + o / out) * in + c;
            const std::int64_t weight = (o * in + c) * 9 + k;
            for (std::int64_t i = 0; i < height(); ++i)
              for (std::int64_t j = 0; j < width(); ++j) {
                const std::int64_t row = i + k / 3 - above, column = j + k % 3 - left;
                if (row < 0 || row >= rows || column < 0 || column >= columns) continue;
                f(static_cast<std::size_t>((channel * rows + row) * columns + column),
                  static_cast<std::size_t>(weight),
                  static_cast<std::size_t>(((image * groups * out + o) * height() + i) * width() + j));
              }
          }
  }
};

std::string to_string(const Case& c) {
  return tapegrad::to_string(c.x()) + " * " + tapegrad::to_string(c.weight()) + " padding " +
         std::to_string(c.above) + ", " + std::to_string(c.left);
}

/// A layer's numbers, and its results and gradients as sums.
struct Values {
  Tensor x, weight, bias, g;
  std::vector<double> y, dx, dw;

  Values(const Case& c, Dtype dtype)
      : Values(c, random(c.x(), dtype, -2, 2, 1), random(c.weight(), dtype, -2, 2, 2),
               random({c.groups * c.out}, dtype, -2, 2, 3), random(c.y(), dtype, -2, 2, 4)) {}
  Values(const Case& c, const Tensor& x_, const Tensor& weight_, const Tensor& bias_, const Tensor& g_)
      : x(x_), weight(weight_), bias(bias_), g(g_) {
    const auto xv = numbers(x), wv = numbers(weight), bv = numbers(bias), gv = numbers(g);
    y.resize(gv.size()), dx.resize(xv.size()), dw.resize(wv.size());
    const auto plane = static_cast<std::size_t>(c.height() * c.width());
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

BOOST_AUTO_TEST_SUITE(winograd)

BOOST_AUTO_TEST_CASE(values_and_gradients_at_random_shapes) {
  std::mt19937 random(1);
  const auto from = [&](std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
  };
  for (int i = 0; i < 24; ++i) {
    const Case c{.n = std::array<std::int64_t, 3>{1, 3, 0}[static_cast<std::size_t>(i % 8 == 7 ? 2 : i % 2)],
                 .groups = i % 4 == 3 ? 2 : 1,
                 .in = from(16, 19),
                 .out = i % 3 ? from(16, 35) : from(8, 15),
                 .rows = from(9, 15),
                 .columns = i % 6 == 5 ? from(33, 40) : from(9, 18),
                 .above = from(0, 2),
                 .left = from(0, 2)};
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
      if (i % 4 == 0)
        for_each_isa([&] { with_both_rules(run); });
      else
        run();
    }
  }
}

BOOST_AUTO_TEST_CASE(it_is_the_way_that_is_taken) {
  // A fourth column of weights that are 0 changes no sum, but leaves the sums alone as a way.
  const auto differ = [](const Case& c) {
    const Tensor x = random(c.x(), f32, -2, 2, 1), w = random(c.weight(), f32, -2, 2, 2);
    const Tensor wide = pad(w, {{}, {}, {}, {0, 1}});
    const auto padding = std::array<Padding, 2>{{{1, 1}, {1, 2}}};
    const Tensor g = random(c.y(), f32, -2, 2, 3);
    const auto narrow = results(c, x, w, g);
    Tape tape;
    const Tensor leaf = tape.watch(x), weight = tape.watch(wide);
    const Tensor y = conv2d(leaf, weight, Tensor(), {.padding = padding});
    const Gradients grads = tape.backward(y, g);
    const Tensor dw = slice(grads[weight], 3, 0, 3);
    const double tolerance = 4 * product_tolerance(f32);
    check_tensor(narrow[0], c.y(), numbers(y), tolerance);
    check_tensor(narrow[1], c.x(), numbers(grads[leaf]), tolerance);
    check_tensor(narrow[2], c.weight(), numbers(dw), tolerance);
    return std::array{numbers(narrow[0]) != numbers(y), numbers(narrow[1]) != numbers(grads[leaf]),
                      numbers(narrow[2]) != numbers(dw)};
  };
  BOOST_TEST((differ({}) == std::array{true, true, true}));
  BOOST_TEST((differ({.out = 8, .rows = 7, .columns = 7}) == std::array{true, false, true}));
  BOOST_TEST((differ({.in = 8}) == std::array{false, true, false}));
  BOOST_TEST((differ({.in = 8, .out = 8}) == std::array{false, false, false}));  // too few channels
  BOOST_TEST((differ({.rows = 4}) == std::array{false, false, false}));          // too few tiles
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_is_as_in_the_sums) {
  const Case c{.n = 2, .in = 17, .out = 18, .rows = 9, .columns = 11};
  const auto channel = static_cast<std::size_t>(c.rows * c.columns);
  for (const Dtype dtype : {f32, f64}) {
    const Values finite(c, dtype);
    const double largest = dtype == f32 ? static_cast<double>(std::numeric_limits<float>::max())
                                        : std::numeric_limits<double>::max();
    // An infinity meets its like and the other one; beside them a NaN. Two numbers whose difference alone overflows.
    const Tensor x = with_numbers(finite.x, {{13, kInf},
                                             {15, -kInf},
                                             {channel + 13, kInf},
                                             {3 * channel - 1, kNan},
                                             {17 * channel + 40, 0.9 * largest},
                                             {17 * channel + 42, -0.9 * largest}});
    const Tensor small = finite.weight * 0.1;
    const Values v(c, x, small, finite.bias, finite.g);
    const double tolerance = 4 * product_tolerance(dtype);
    for_each_isa([&] {
      check_tensor(conv2d(x, small, v.bias, c.options()), c.y(), v.y, tolerance);
      // The same numbers as gradients.
      const Case back{.n = 2, .in = 18, .out = 17, .rows = 9, .columns = 11};
      const Values w(back, random(back.x(), dtype, 1, 2, 5), random(back.weight(), dtype, 0.1, 0.2, 6),
                     random({17}, dtype, -1, 1, 7), x);
      with_both_rules([&] {
        const auto r = results(back, w.x, w.weight, w.g);
        check_tensor(r[1], back.x(), w.dx, tolerance);
        check_tensor(r[2], back.weight(), w.dw, tolerance);
      });
      // Where all numbers are finite, so are the sums.
      const Tensor huge = with_numbers(finite.x, {{40, 0.9 * largest}, {42, -0.9 * largest}});
      const Values h(c, huge, small, finite.bias, finite.g * 0.01);
      const auto r = results(c, huge, small, h.g);
      check_tensor(r[2], c.weight(), h.dw, tolerance);
      BOOST_TEST(std::ranges::all_of(numbers(r[0]), [](double e) { return std::isfinite(e); }));
    });
  }
}

BOOST_AUTO_TEST_CASE(equal_bits_for_any_number_of_threads) {
  for (const Case& c : {Case{.n = 7, .in = 20, .out = 24, .rows = 13, .columns = 15},
                        Case{.n = 2, .groups = 2, .rows = 45, .columns = 47}}) {
    const Tensor w = random(c.weight(), f32, -1, 1, 2), g = random(c.y(), f32, -1, 1, 3);
    const Tensor x = random(c.x(), f32, -1, 1, 1);
    check_bits_for_threads([&] { return results(c, x, w, g); });
    check_bits_for_threads([&] {
      return std::vector{conv2d(with_numbers(x, {{7, kInf}}), w, Tensor(), c.options())};
    });
  }
}

BOOST_AUTO_TEST_CASE(images_do_not_depend_on_each_other) {
  const Case c{.n = 5, .in = 17, .out = 19, .rows = 9, .columns = 7};
  const Tensor x = random(c.x(), f32, -1, 1, 1), w = random(c.weight(), f32, -1, 1, 2);
  const auto layer = [&](const Tensor& images) { return conv2d(images, w, Tensor(), c.options()); };
  const auto image = [](const Tensor& all, std::int64_t i) { return numbers(slice(all, 0, i, i + 1)); };
  const Tensor y = layer(x);
  for (std::int64_t i = 0; i < c.n; ++i)
    BOOST_TEST((numbers(layer(slice(x, 0, i, i + 1))) == image(y, i)), "image " << i);
  // Nor on one that is made again.
  const Tensor nan = Tensor::full({1, c.in, c.rows, c.columns}, kNan, f32);
  const Tensor beside = layer(concat({slice(x, 0, 0, 2), nan, slice(x, 0, 3)}, 0));
  for (const std::int64_t i : {0, 1, 3, 4}) BOOST_TEST((image(beside, i) == image(y, i)), "image " << i);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace winograd_test
