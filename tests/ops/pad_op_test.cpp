// Padding in each mode, against indices written out.

#include <algorithm>

#include "op_support.h"

namespace pad_op_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(pad_op)

BOOST_AUTO_TEST_CASE(one_axis_in_each_mode) {
  for (const Dtype dtype : {f32, f64, i64}) {
    const Tensor x = cast(Tensor::from({1, 2, 3, 4}), dtype);
    check_tensor(pad(x, {{3, 2}}, PadMode::reflect), {9}, {4, 3, 2, 1, 2, 3, 4, 3, 2}, 0);
    check_tensor(pad(x, {{3, 2}}, PadMode::replicate), {9}, {1, 1, 1, 1, 2, 3, 4, 4, 4}, 0);
    check_tensor(pad(x, {{3, 2}}, PadMode::circular), {9}, {2, 3, 4, 1, 2, 3, 4, 1, 2}, 0);
    check_tensor(pad(x, {{1, 2}}, PadMode::constant), {7}, {0, 1, 2, 3, 4, 0, 0}, 0);
    check_tensor(pad(x, {{4, 4}}, PadMode::circular), {12}, {1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}, 0);
    check_tensor(pad(x, {{0, 0}}, PadMode::reflect), {4}, {1, 2, 3, 4}, 0);
    check_tensor(pad(x, {{0, 7}}, PadMode::replicate), {11}, {1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4}, 0);
  }
}

BOOST_AUTO_TEST_CASE(several_axes_and_gradients_that_add_up) {
  const Tensor x = Tensor::from({{1, 2, 3}, {4, 5, 6}}, f64);
  check_tensor(pad(x, {{1, 0}, {0, 2}}, PadMode::reflect), {3, 5},
               {4, 5, 6, 5, 4, 1, 2, 3, 2, 1, 4, 5, 6, 5, 4}, 0);
  for (const PadMode mode : {PadMode::constant, PadMode::reflect, PadMode::replicate, PadMode::circular}) {
    const Tensor y = pad(x, {{1, 1}, {2, 1}}, mode);
    BOOST_TEST((y.shape() == Shape{4, 6}));
    // Each element of the result weighs differently; an element of x collects the weights of its copies.
    std::vector<double> weights(24), expected(6, 0);
    for (std::size_t i = 0; i < 24; ++i) weights[i] = static_cast<double>(1 + i * i);
    const std::vector<double> copies = numbers(y);
    for (std::size_t i = 0; i < 24; ++i)
      if (copies[i] > 0) expected[static_cast<std::size_t>(copies[i]) - 1] += weights[i];
    const Tensor w = Tensor::from(weights, Shape{4, 6});
    check_tensor(derivative(
                     [&](const Tensor& t) {
                       return pad(t, {{1, 1}, {2, 1}}, mode) * w;
                     },
                     x),
                 {2, 3}, expected);
    check_tensor(derivative(
                     [&](const Tensor& t) {
                       return square(pad(t, {{1, 1}, {2, 1}}, mode)) * (0.5 * w);
                     },
                     x, 2),
                 {2, 3}, expected);
  }
}

BOOST_AUTO_TEST_CASE(errors) {
  const Tensor x = Tensor::ones({2, 3});
  BOOST_CHECK_EXCEPTION(pad(x, {{0, 0}, {3, 0}}, PadMode::reflect), ArgumentError,
                        mentions("pad", "axis 1", "[2, 3]", "reflect", "at most 2"));
  BOOST_CHECK_EXCEPTION(pad(x, {{0, 3}, {0, 0}}, PadMode::circular), ArgumentError,
                        mentions("axis 0", "circular", "at most 2"));
  BOOST_CHECK_EXCEPTION(pad(x, {{1, 1}}, PadMode::reflect), ArgumentError, mentions("1 paddings", "2 axes"));
  BOOST_CHECK_EXCEPTION(pad(x, {{-1, 1}, {0, 0}}, PadMode::replicate), ArgumentError, mentions("-1 before"));
  for (const PadMode mode : {PadMode::reflect, PadMode::replicate, PadMode::circular})
    BOOST_CHECK_THROW(pad(Tensor::ones({0}), {{1, 0}}, mode), ArgumentError);
  BOOST_CHECK_THROW(pad(Tensor(), {{1, 0}}, PadMode::reflect), ArgumentError);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace pad_op_test
