// A convolution pooled a few images at a time beside one that is pooled as a whole, at random shapes and options.

#include <random>

#include "both_rules.h"
#include "kernel_support.h"
#include "op_support.h"

namespace conv_max_pool_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

struct Case {
  std::int64_t n, groups, in, out;
  Sizes<2> size, kernel;
  Conv2dOptions conv;
  MaxPool2dOptions pool;

  Shape x() const { return {n, groups * in, size[0], size[1]}; }
  Shape weight() const { return {groups * out, in, kernel[0], kernel[1]}; }
};

Case random_case(std::mt19937& random) {
  const auto from_to = [&](std::int64_t first, std::int64_t last) {
    return std::uniform_int_distribution<std::int64_t>(first, last)(random);
  };
  const auto two = [&](std::int64_t first, std::int64_t last) {
    return Sizes<2>{from_to(first, last), from_to(first, last)};
  };
  Case c{from_to(0, 3), from_to(1, 2), from_to(1, 3), from_to(1, 3), {}, two(1, 3), {}, {}};
  c.conv = {.stride = two(1, 2), .padding = two(0, 1), .dilation = two(1, 2), .groups = c.groups};
  c.pool = {.kernel = two(1, 3), .dilation = two(1, 2), .ceil_mode = from_to(0, 1) == 1};
  if (from_to(0, 1)) c.pool.stride = two(1, 3);
  if (from_to(0, 2) == 0) c.pool = {.kernel = 2};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t between = (c.pool.kernel[i] - 1) * c.pool.dilation[i] + 1;
    c.size[i] = (between - 1) * c.conv.stride[i] + (c.kernel[i] - 1) * c.conv.dilation[i] + 1 + from_to(0, 5);
  }
  return c;
}

/// The result, and the gradients of x, of the weight and of the bias where there is one.
template <class Layer>
std::array<Tensor, 4> results(const Layer& layer, const Tensor& x0, const Tensor& w0, const Tensor& b0) {
  Tape tape;
  const Tensor x = tape.watch(x0), w = tape.watch(w0), b = b0.defined() ? tape.watch(b0) : Tensor();
  const Tensor y = layer(x, w, b);
  // Two gradients meet in x: one is written, the other added.
  const Tensor all =
      sum(y * random(y.shape(), y.dtype(), -2, 2, 5)) + sum(x * random(x.shape(), x.dtype(), -1, 1, 6));
  const Gradients grads = tape.backward(all);
  return {y.detach(), grads[x], grads[w], b0.defined() ? grads[b] : Tensor()};
}

void check_same(const std::array<Tensor, 4>& at_once, const std::array<Tensor, 4>& expected, Dtype dtype) {
  BOOST_TEST((numbers(at_once[0]) == numbers(expected[0])));
  for (std::size_t i = 1; i < 4; ++i)
    if (expected[i].defined())
      check_tensor(at_once[i], expected[i].shape(), numbers(expected[i]), product_tolerance(dtype));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(conv_max_pool)

BOOST_AUTO_TEST_CASE(is_max_pool2d_of_conv2d) {
  std::mt19937 random_case_of(3);
  for (int i = 0; i < 300; ++i) {
    const Case c = random_case(random_case_of);
    const Dtype dtype = i % 2 ? f32 : f64;
    // Small whole numbers: many of the largest are equal.
    const auto whole = [&](const Shape& shape, std::uint64_t seed) {
      return cast(cast(random(shape, dtype, -2, 2, seed), i64), dtype);
    };
    const Tensor x = whole(c.x(), 1), w = whole(c.weight(), 2);
    const Tensor b = i % 3 ? whole({c.groups * c.out}, 3) : Tensor();
    with_both_rules([&] {
      check_same(results([&](auto&... in) { return conv2d_max_pool(in..., c.pool, c.conv); }, x, w, b),
                 results([&](auto&... in) { return max_pool2d(conv2d(in..., c.conv), c.pool); }, x, w, b),
                 dtype);
    });
  }
}

BOOST_AUTO_TEST_CASE(of_many_images_a_few_are_taken_at_a_time) {
  for (const Dtype dtype : {f32, f64}) {
    const Tensor x = random({7, 3, 120, 130}, dtype), w = random({5, 3, 3, 3}, dtype), b = random({5}, dtype);
    const auto at_once = [](auto&... in) { return conv2d_max_pool(in..., {.kernel = 2}, {.padding = 1}); };
    const auto expected = [](auto&... in) { return max_pool2d(conv2d(in..., {.padding = 1}), 2); };
    check_same(results(at_once, x, w, b), results(expected, x, w, b), dtype);
  }
}

BOOST_AUTO_TEST_CASE(input_and_weight_may_be_one_tensor) {
  const Tensor x = random({2, 2, 3, 3}, f64);
  const auto twice = [&](const auto& layer) {
    return results([&](auto& in, auto&, auto&) { return layer(in, in); }, x, x, Tensor());
  };
  const auto at_once =
      twice([](auto& a, auto& b) { return conv2d_max_pool(a, b, {}, {.kernel = 2}, {.padding = 1}); });
  const auto expected =
      twice([](auto& a, auto& b) { return max_pool2d(conv2d(a, b, {}, {.padding = 1}), 2); });
  BOOST_TEST((numbers(at_once[0]) == numbers(expected[0])));
  check_tensor(at_once[1], x.shape(), numbers(expected[1]), product_tolerance(f64));
}

BOOST_AUTO_TEST_CASE(infinities_meet_only_what_was_the_largest) {
  const Tensor x = Tensor::from(std::vector{1.0, kInf, 2.0, 1.0, -kInf, 0.0, kNan, 3.0}, {1, 1, 2, 4});
  const Tensor w = Tensor::ones({1, 1, 1, 1}, f64);
  const auto at_once = [](auto&... in) { return conv2d_max_pool(in..., {.kernel = {2, 1}}); };
  const auto expected = [](auto&... in) { return max_pool2d(conv2d(in...), {.kernel = {2, 1}}); };
  const auto a = results(at_once, x, w, Tensor()), b = results(expected, x, w, Tensor());
  for (std::size_t i = 0; i < 3; ++i) check_tensor(a[i], b[i].shape(), numbers(b[i]));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const Tensor x = Tensor::zeros({2, 4, 5, 6});
  const auto refuses = [&](const Shape& w, const MaxPool2dOptions& pool, auto... texts) {
    BOOST_CHECK_EXCEPTION(conv2d_max_pool(x, Tensor::zeros(w), {}, pool), Error,
                          mentions("conv2d_max_pool", texts...));
  };
  refuses({6, 3, 3, 3}, {.kernel = 2}, "expects 3");
  refuses({6, 4, 3, 3}, {.kernel = 4}, "[2, 6, 3, 4]");
  refuses({6, 4, 3, 3}, {.kernel = 3, .padding = 1}, "padding of the pooling is 1", "must be 0");
  refuses({6, 4, 3, 3}, {}, "kernel");
  refuses({6, 4, 3, 3}, {.kernel = 2, .stride = 0}, "stride");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace conv_max_pool_test
