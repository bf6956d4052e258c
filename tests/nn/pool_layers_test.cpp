// Pooling layers: they compute what the operations do, with their options, also as clones and in a network.

#include <tapegrad/tapegrad.h>

#include "op_support.h"

namespace pool_layers_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

void check_layer(nn::Module& layer, const Tensor& x, const Tensor& expected) {
  check_tensor(layer(x), expected.shape(), numbers(expected), 0);
  check_tensor((*layer.clone())(x), expected.shape(), numbers(expected), 0);
  BOOST_TEST(layer.parameters().empty());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pool_layers)

BOOST_AUTO_TEST_CASE(layers_compute_what_the_operations_do) {
  const Tensor x = random({2, 3, 7, 8}, f32), l = random({2, 3, 9}, f32);
  const MaxPool2dOptions max2{.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}, .ceil_mode = true};
  const MaxPool1dOptions max1{.kernel = 3, .stride = 2, .dilation = 2};
  const AvgPool2dOptions avg2{
      .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1}, .count_include_pad = false};
  const AvgPool1dOptions avg1{.kernel = 2, .stride = 1, .padding = 1};
  nn::MaxPool2d m2(2), m2_options(max2);
  nn::MaxPool1d m1(2), m1_options(max1);
  nn::AvgPool2d a2(2), a2_options(avg2);
  nn::AvgPool1d a1(2), a1_options(avg1);
  nn::GlobalAvgPool global;
  check_layer(m2, x, max_pool2d(x, 2));
  check_layer(m2_options, x, max_pool2d(x, max2));
  check_layer(m1, l, max_pool1d(l, 2));
  check_layer(m1_options, l, max_pool1d(l, max1));
  check_layer(a2, x, avg_pool2d(x, 2));
  check_layer(a2_options, x, avg_pool2d(x, avg2));
  check_layer(a1, l, avg_pool1d(l, 2));
  check_layer(a1_options, l, avg_pool1d(l, avg1));
  check_layer(global, x, global_avg_pool(x));
  BOOST_TEST(m2_options.options().kernel == max2.kernel);
  BOOST_TEST(m2.options().kernel == (std::array<std::int64_t, 2>{2, 2}));
}

BOOST_AUTO_TEST_CASE(options_are_written_in_place) {
  nn::MaxPool2d pool({.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
  BOOST_TEST((pool(Tensor::ones({1, 2, 8, 8})).shape() == Shape{1, 2, 4, 4}));
}

BOOST_AUTO_TEST_CASE(a_network_that_pools_learns_from_images) {
  Generator rng(0);
  nn::Sequential net{nn::MaxPool2d(2), nn::AvgPool2d({.kernel = {2, 2}, .stride = {1, 1}}),
                     nn::GlobalAvgPool(), nn::Affine(3, 2, rng)};
  const Tensor x = randn({16, 3, 8, 8}, rng);
  // The class is told by which channel has the larger mean.
  const Tensor means = global_avg_pool(x);
  const Tensor t = cast(select(means, 1, 0) > select(means, 1, 1), i64);
  optim::Adam adam(net.parameters(), 0.1);
  double first = 0, last = 0;
  for (int step = 0; step < 60; ++step) {
    Tape tape;
    const Tensor loss = softmax_with_loss(net(x), t);
    last = loss.item();
    if (step == 0) first = last;
    adam.step(tape.backward(loss));
  }
  BOOST_TEST(last < 0.6 * first);
}

BOOST_AUTO_TEST_CASE(errors_name_the_layer) {
  nn::Sequential net{nn::MaxPool2d(5)};
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({1, 1, 3, 3})), ShapeError, mentions("max_pool2d '", "spans 5"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace pool_layers_test
