// Layers of convolutions: what they are made of, what they refuse, and that networks of them learn.

#include <memory>

#include <tapegrad/graph/dot.h>
#include <tapegrad/nn/hook.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/losses.h>
#include <tapegrad/optim/rules.h>

#include "module_support.h"
#include "op_support.h"

namespace conv_layer_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(conv_layer)

BOOST_AUTO_TEST_CASE(parameters_and_values) {
  Generator g(1);
  nn::Conv2d conv(4, 6, {3, 5}, g, {.stride = {1, 2}, .padding = {1, 2}, .dilation = 2, .groups = 2});
  BOOST_TEST(conv.in() == 4);
  BOOST_TEST(conv.out() == 6);
  BOOST_TEST(conv.parameter_count() == 6 * 2 * 3 * 5 + 6);
  const auto named = conv.parameters();
  BOOST_TEST_REQUIRE(named.size() == 2u);
  BOOST_TEST(named[0].first == "weight");
  BOOST_TEST(to_string(named[0].second.shape()) == "[6, 2, 3, 5]");
  BOOST_TEST(named[1].first == "bias");
  conv.bias().assign(random({6}, f32));
  const Tensor x = random({2, 4, 9, 10}, f32);
  check_tensor(conv(x), {2, 6, 7, 3},
               numbers(conv2d(x, conv.weight(), conv.bias(),
                              {.stride = {1, 2}, .padding = {1, 2}, .dilation = 2, .groups = 2})));
  const std::unique_ptr<nn::Conv2d> copy = nn::clone(conv);
  check_tensor((*copy)(x), {2, 6, 7, 3}, numbers(conv(x)), 0);

  nn::Conv1d line(2, 3, 4, g, {.padding = "same", .bias = false, .dtype = f64});
  BOOST_TEST(!line.bias().defined());
  BOOST_TEST(line.parameters().size() == 1u);
  const Tensor l = random({2, 2, 7});
  check_tensor(line(l), {2, 3, 7}, numbers(conv1d(l, line.weight(), Tensor(), {.padding = "same"})));

  nn::ConvTranspose2d transposed(4, 6, 3, g, {.stride = 2, .padding = 1, .output_padding = 1, .groups = 2});
  BOOST_TEST(transposed.in() == 4);
  BOOST_TEST(transposed.out() == 6);
  BOOST_TEST(to_string(transposed.weight().shape()) == "[4, 3, 3, 3]");
  const Tensor y = random({1, 4, 3, 5}, f32);
  check_tensor(transposed(y), {1, 6, 6, 10},
               numbers(conv_transpose2d(y, transposed.weight(), transposed.bias(),
                                        {.stride = 2, .padding = 1, .output_padding = 1, .groups = 2})));
  const auto twin = nn::clone(transposed);
  check_tensor((*twin)(y), {1, 6, 6, 10}, numbers(transposed(y)), 0);
}

BOOST_AUTO_TEST_CASE(a_sequential_computes_a_convolution_and_its_relu_in_one_pass) {
  Generator g(3);
  nn::Sequential net{nn::named("conv", nn::Conv2d(2, 5, 3, g, {.padding = 1})), nn::Relu(),
                     nn::named("last", nn::Conv2d(5, 2, 3, g)), nn::Gelu(), nn::Relu()};
  const Tensor x = randn({3, 2, 7, 6}, g);
  const auto step = [&](nn::Sequential& of) {
    Tape tape;
    const Tensor y = of(x);
    const Gradients grads = tape.backward(mean(y * y));
    std::vector<std::vector<double>> all{numbers(y)};
    for (const auto& [name, parameter] : of.parameters()) all.push_back(numbers(grads[parameter]));
    return std::pair(all, to_dot(tape));
  };
  const auto [values, graph] = step(net);
  BOOST_TEST(graph.find("conv2d_relu") != std::string::npos);
  BOOST_TEST(graph.find("gelu") != std::string::npos);
  // A hook sees both layers, which are computed one after the other then.
  std::vector<std::string> seen;
  {
    nn::Hook hook(
        [&](std::string_view path, const nn::ModuleBase&, const Tensor&) { seen.emplace_back(path); });
    const auto [apart, graph_apart] = step(net);
    BOOST_TEST((apart == values));
    BOOST_TEST(graph_apart.find("conv2d_relu") == std::string::npos);
  }
  BOOST_TEST((seen == std::vector<std::string>{"conv", "1", "last", "3", "4", ""}));
  const std::unique_ptr<nn::Sequential> copy = nn::clone(net);
  BOOST_TEST((step(*copy) == std::pair(values, graph)));
  BOOST_CHECK_EXCEPTION(net(Tensor::zeros({1, 3, 7, 6})), ShapeError,
                        mentions("conv2d 'conv'", "3 channels", "expects 2"));
}

BOOST_AUTO_TEST_CASE(a_sequential_pools_a_convolution_a_few_images_at_a_time) {
  Generator g(4);
  for (const bool with_relu : {false, true})
    for (const bool padded : {false, true}) {
      nn::Sequential net{nn::named("conv", nn::Conv2d(1, 4, 3, g))};
      if (with_relu) net.append(nn::named("relu", nn::Relu()));
      net.append(nn::named("pool", nn::MaxPool2d({.kernel = 2, .padding = padded ? 1 : 0})))
          .append(nn::Relu());
      const Tensor x = randn({3, 1, 9, 8}, g);
      const auto step = [&] {
        Tape tape;
        const Tensor y = net(x);
        const Gradients grads = tape.backward(sum(y * y));
        return std::pair(std::array{numbers(y), numbers(grads[net.get<nn::Conv2d>("conv").weight()])},
                         to_dot(tape));
      };
      const auto [values, graph] = step();
      BOOST_TEST((graph.find("conv2d_max_pool") != std::string::npos) == !padded);
      BOOST_TEST((graph.find("conv2d_relu") != std::string::npos) == (padded && with_relu));
      std::vector<std::string> seen;
      nn::Hook hook(
          [&](std::string_view path, const nn::ModuleBase&, const Tensor&) { seen.emplace_back(path); });
      BOOST_TEST((step().first == values));
      BOOST_TEST(seen.size() == net.size() + 1);
      BOOST_TEST(seen.front() == "conv");
    }
  // The layer that is to blame is named, not those that are computed with it.
  nn::Sequential net{nn::named("conv", nn::Conv2d(1, 4, 3, g)), nn::Relu(),
                     nn::named("small", nn::MaxPool2d(4))};
  BOOST_CHECK_EXCEPTION(net(Tensor::zeros({1, 1, 5, 5})), ShapeError,
                        mentions("max_pool2d 'small'", "[1, 4, 3, 3]"));
  BOOST_CHECK_EXCEPTION(net(Tensor::zeros({1, 2, 9, 9})), ShapeError,
                        mentions("conv2d 'conv'", "2 channels"));
}

BOOST_AUTO_TEST_CASE(a_sequential_applies_a_relu_behind_the_pooling_that_follows_it) {
  nn::Sequential net{nn::named("relu", nn::Relu()), nn::named("pool", nn::MaxPool2d(2))};
  const auto works_on_few = [&] {
    Tape tape;
    (void)net(tape.watch(random({2, 3, 6, 6}, f32)));
    return to_dot(tape).find("relu\\n[2, 3, 3, 3]") != std::string::npos;
  };
  BOOST_TEST(works_on_few());
  nn::Hook hook([](std::string_view, const nn::ModuleBase&, const Tensor&) {});
  BOOST_TEST(!works_on_few());
}

BOOST_AUTO_TEST_CASE(weights_keep_the_variance_of_what_passes) {
  // He's: of inputs of variance 1 the results have about variance 2.
  Generator g(2);
  const auto variance = [](const Tensor& t) { return var(t, Axes::all()).item(); };
  const Tensor x = randn({4, 16, 20, 20}, g);
  BOOST_TEST(std::abs(variance(nn::Conv2d(16, 32, 3, g)(x)) - 2) < 0.3);
  BOOST_TEST(std::abs(variance(nn::Conv2d(16, 32, 3, g, {.groups = 4})(x)) - 2) < 0.4);
  BOOST_TEST(std::abs(variance(nn::ConvTranspose2d(16, 32, 4, g, {.stride = 2, .padding = 1})(x)) - 2) < 0.3);
}

BOOST_AUTO_TEST_CASE(bad_options_are_refused_when_the_layer_is_made) {
  Generator g;
  using nn::Conv1d;
  using nn::Conv2d;
  BOOST_CHECK_EXCEPTION(Conv2d(0, 3, 3, g), ArgumentError, mentions("conv2d", "0 channels in"));
  BOOST_CHECK_EXCEPTION(Conv1d(3, 0, 3, g), ArgumentError, mentions("conv1d", "0 out"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, {3, 0}, g), ArgumentError, mentions("kernel is 0", "axis 3"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.stride = 0}), ArgumentError, mentions("stride is 0"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.padding = -1}), ArgumentError, mentions("padding", "-1"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.padding = "full"}), ArgumentError, mentions("full", "same"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.stride = {1, 2}, .padding = "same"}), ArgumentError,
                        mentions("same", "stride of 2"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.dilation = {1, 0}}), ArgumentError, mentions("dilation is 0"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.groups = 2}), ArgumentError,
                        mentions("2 groups", "2 channels", "3 out"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.groups = 0}), ArgumentError, mentions("0 groups"));
  BOOST_CHECK_EXCEPTION(Conv2d(2, 3, 3, g, {.dtype = i64}), DtypeError, mentions("conv2d", "i64"));
  BOOST_CHECK_EXCEPTION(Conv2d(std::int64_t{1} << 40, 3, {1 << 20, 1 << 20}, g), ShapeError,
                        mentions("conv2d"));
  BOOST_CHECK_EXCEPTION(nn::ConvTranspose2d(2, 3, 3, g, {.stride = 2, .output_padding = 2}), ArgumentError,
                        mentions("output_padding is 2", "stride 2"));
}

BOOST_AUTO_TEST_CASE(a_shape_that_does_not_fit_names_the_layer) {
  Generator g;
  nn::Sequential net{nn::named("conv1", nn::Conv2d(1, 4, 3, g)), nn::Relu(),
                     nn::named("conv2", nn::Conv2d(5, 4, 3, g))};
  BOOST_CHECK_EXCEPTION(net(Tensor::zeros({2, 1, 8, 8})), ShapeError,
                        mentions("conv2", "[2, 4, 6, 6]", "4 channels", "expects 5"));
  BOOST_CHECK_EXCEPTION(net(Tensor::zeros({2, 1, 2, 8})), ShapeError,
                        mentions("conv1", "[2, 1, 2, 8]", "size 0"));
}

BOOST_AUTO_TEST_CASE(a_network_learns_where_a_pattern_stands) {
  // A bar that stands or lies, anywhere in the image.
  Generator g(7);
  const auto batch = [&](std::int64_t n) {
    Tensor x = 0.3f * randn({n, 1, 8, 8}, g);
    Tensor t = integers({n}, g, 0, 2);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t r = static_cast<std::int64_t>(g() % 5), c = static_cast<std::int64_t>(g() % 5);
      const bool stands = t.values<std::int64_t>()[static_cast<std::size_t>(i)] == 0;
      for (std::int64_t k = 0; k < 4; ++k)
        x.mutable_values<float>()[static_cast<std::size_t>(i * 64 +
                                                           (stands ? (r + k) * 8 + c : r * 8 + c + k))] += 2;
    }
    return std::pair{x, t};
  };
  nn::Sequential net{
      nn::Conv2d(1, 4, 4, g), nn::Relu(),          nn::Conv2d(4, 4, 3, g, {.stride = 2}), nn::Relu(),
      nn::Flatten(),          nn::Affine(16, 2, g)};
  optim::Adam adam(net.parameters(), 0.01);
  for (int i = 0; i < 150; ++i) {
    const auto [x, t] = batch(50);
    Tape tape;
    adam.step(tape.backward(softmax_with_loss(net(x), t)));
  }
  const auto [x, t] = batch(300);
  const Tensor right = argmax(net(x), 1) == t;
  BOOST_TEST(mean(cast(right, f32), Axes::all()).item() > 0.95);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace conv_layer_test
