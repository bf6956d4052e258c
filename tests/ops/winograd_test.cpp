// Convolutions with kernels of 3 x 3 by Winograd's minimal filtering, beside sums over every image, channel and place
// of the kernel in double.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "conv_support.h"

namespace winograd_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(winograd)

BOOST_AUTO_TEST_CASE(values_and_gradients_at_random_shapes) {
  std::mt19937 random(1);
  const auto from = [&](std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
  };
  for (int i = 0; i < 24; ++i) {
    const ConvCase c{
        .n = std::array<std::int64_t, 3>{1, 3, 0}[static_cast<std::size_t>(i % 8 == 7 ? 2 : i % 2)],
        .groups = i % 4 == 3 ? 2 : 1,
        .in = from(16, 19),
        .out = i % 3 ? from(16, 35) : from(8, 15),
        .rows = from(9, 15),
        .columns = i % 6 == 5 ? from(33, 40) : from(9, 18),
        .padding = {from(0, 2), from(0, 2)}};
    const Dtype dtype = i % 2 ? f32 : f64;
    const ConvValues v(c, dtype);
    const double tolerance = 16 * product_tolerance(dtype);  // sums of weights have a thousand terms
    const auto run = [&] { check_conv(c, v, tolerance); };
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
  const auto differ = [](const ConvCase& c) {
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
  BOOST_TEST((differ({.in = 16, .out = 16}) == std::array{true, true, true}));
  BOOST_TEST((differ({.in = 16, .out = 8, .rows = 7, .columns = 7}) == std::array{true, false, true}));
  BOOST_TEST((differ({.in = 8, .out = 16}) == std::array{false, true, false}));
  BOOST_TEST((differ({.in = 8, .out = 8}) == std::array{false, false, false}));  // too few channels
  BOOST_TEST((differ({.in = 16, .out = 16, .rows = 4}) == std::array{false, false, false}));  // too few tiles
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_is_as_in_the_sums) {
  const ConvCase c{.n = 2, .in = 17, .out = 18, .rows = 9, .columns = 11};
  const auto channel = static_cast<std::size_t>(c.rows * c.columns);
  for (const Dtype dtype : {f32, f64}) {
    const ConvValues finite(c, dtype);
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
    const ConvValues v(c, x, small, finite.bias, finite.g);
    const double tolerance = 4 * product_tolerance(dtype);
    for_each_isa([&] {
      check_tensor(conv2d(x, small, v.bias, c.options()), c.y(), v.y, tolerance);
      // The same numbers as gradients.
      const ConvCase back{.n = 2, .in = 18, .out = 17, .rows = 9, .columns = 11};
      const ConvValues w(back, random(back.x(), dtype, 1, 2, 5), random(back.weight(), dtype, 0.1, 0.2, 6),
                         random({17}, dtype, -1, 1, 7), x);
      with_both_rules([&] {
        const auto r = results(back, w.x, w.weight, w.g);
        check_tensor(r[1], back.x(), w.dx, tolerance);
        check_tensor(r[2], back.weight(), w.dw, tolerance);
      });
      // Where all numbers are finite, so are the sums.
      const Tensor huge = with_numbers(finite.x, {{40, 0.9 * largest}, {42, -0.9 * largest}});
      const ConvValues h(c, huge, small, finite.bias, finite.g * 0.01);
      const auto r = results(c, huge, small, h.g);
      check_tensor(r[2], c.weight(), h.dw, tolerance);
      BOOST_TEST(std::ranges::all_of(numbers(r[0]), [](double e) { return std::isfinite(e); }));
    });
  }
}

BOOST_AUTO_TEST_CASE(equal_bits_for_any_number_of_threads) {
  for (const ConvCase& c : {ConvCase{.n = 7, .in = 20, .out = 24, .rows = 13, .columns = 15},
                            ConvCase{.n = 2, .groups = 2, .in = 16, .out = 16, .rows = 45, .columns = 47}}) {
    const Tensor w = random(c.weight(), f32, -1, 1, 2), g = random(c.y(), f32, -1, 1, 3);
    const Tensor x = random(c.x(), f32, -1, 1, 1);
    check_bits_for_threads([&] { return results(c, x, w, g); });
    check_bits_for_threads([&] {
      return std::vector{conv2d(with_numbers(x, {{7, kInf}}), w, Tensor(), c.options())};
    });
  }
}

BOOST_AUTO_TEST_CASE(images_do_not_depend_on_each_other) {
  const ConvCase c{.n = 5, .in = 17, .out = 19, .rows = 9, .columns = 7};
  check_images_are_independent(c);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace winograd_test
