// Convolutions in which each channel has a kernel of its own, or a few of them, beside sums over every plane and place
// of the kernel in double.

#include <algorithm>
#include <cmath>
#include <random>

#include "conv_support.h"

namespace depthwise_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(depthwise)

BOOST_AUTO_TEST_CASE(values_and_gradients_at_random_shapes) {
  std::mt19937 random(1);
  const auto from = [&](std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
  };
  for (int i = 0; i < 80;) {
    ConvCase c{.n = i % 8 == 7   ? 0
                    : i % 3 == 0 ? 3
                                 : 1,
               .groups = from(1, 4),
               .out = i % 5 == 4 ? from(2, 5) : 1,
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
    const ConvValues v(c, dtype);
    const double tolerance = 16 * product_tolerance(dtype);  // sums of weights have a thousand terms
    const auto run = [&] { check_conv(c, v, tolerance); };
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
    const ConvCase c{.n = 2, .groups = 1, .rows = 101, .columns = 203, .stride = {stride, stride}};
    const ConvValues v(c, f64);
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
      const ConvCase c{.n = 2, .groups = 3, .rows = 9, .columns = 19, .stride = {stride, stride}};
      const ConvValues finite(c, dtype);
      const auto plane = static_cast<std::size_t>(c.rows * c.columns);
      // At the start of a line and at its end, so that what lies between lines is met, and side by side.
      const std::vector<std::pair<std::size_t, double>> places{
          {19, kInf}, {40, kInf}, {42, -kInf}, {plane - 1, kNan}, {2 * plane + 18, -kInf}};
      const auto out = static_cast<std::size_t>(c.windows(0) * c.windows(1));
      const ConvValues x(c, with_numbers(finite.x, places), finite.weight, finite.bias, finite.g);
      const ConvValues g(c, finite.x, finite.weight, finite.bias,
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
    const ConvCase c{.n = 5, .groups = 40, .rows = 45, .columns = 43, .stride = {stride, stride}};
    const Tensor x = random(c.x(), f32, -1, 1, 1), w = random(c.weight(), f32, -1, 1, 2);
    const Tensor g = random(c.y(), f32, -1, 1, 3);
    check_bits_for_threads([&] { return results(c, x, w, g); });
  }
}

BOOST_AUTO_TEST_CASE(images_do_not_depend_on_each_other) {
  const ConvCase c{.n = 5, .groups = 7, .rows = 9, .columns = 23};
  check_images_are_independent(c);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace depthwise_test
