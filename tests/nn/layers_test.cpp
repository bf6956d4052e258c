#include <cmath>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/nn/layers/layers.h>
#include <tapegrad/nn/layers/sequential.h>
#include <tapegrad/ops/elementwise/activation.h>
#include <tapegrad/ops/elementwise/math.h>
#include <tapegrad/ops/neural/dropout.h>
#include <tapegrad/ops/tensor/reduce.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace layers_test {

using namespace tapegrad;
using test::mentions;

BOOST_AUTO_TEST_SUITE(layers)

namespace {

std::vector<double> doubles(const Tensor& t) { return t.to_vector<double>(); }
std::vector<float> floats(const Tensor& t) { return t.to_vector<float>(); }

void check_close(const Tensor& t, const std::vector<double>& expected, double tolerance = 1e-12) {
  const std::vector<double> values = doubles(t);
  BOOST_REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    BOOST_TEST(std::abs(values[i] - expected[i]) <= tolerance * (1 + std::abs(expected[i])),
               "element " << i << ": " << values[i] << " instead of " << expected[i]);
}

Tensor normal(const Shape& shape, std::uint64_t seed) {
  Generator g(seed);
  return randn(shape, g, f64);
}

}  // namespace

// ---- Affine ----

BOOST_AUTO_TEST_CASE(affine_is_x_w_plus_b) {
  const Parameter w(Tensor::from({{1, 2, 3}, {4, 5, 6}}, f64));
  const Parameter b(Tensor::from({10, 20, 30}, f64));
  const Tensor x = Tensor::from({{1, -1}, {0.5, 2}}, f64);
  check_close(nn::Affine(w, b)(x), {7, 17, 27, 18.5, 31, 43.5});
  check_close(nn::Affine(w)(x), {-3, -3, -3, 8.5, 11, 13.5});

  nn::Affine layer(w, b);
  Tape tape;
  const Gradients g = tape.backward(sum(layer(x) * Tensor::from({1, 2, 3}, f64)));
  check_close(g[w], {1.5, 3, 4.5, 1, 2, 3});
  check_close(g[b], {2, 4, 6});
}

BOOST_AUTO_TEST_CASE(a_new_affine_draws_its_weight_as_asked) {
  Generator a(3);
  Generator b(3);
  const nn::Affine layer(20, 30, a, {.init = nn::Init::normal(0.01), .dtype = f64});
  BOOST_TEST(layer.in() == 20);
  BOOST_TEST(layer.out() == 30);
  BOOST_TEST(doubles(layer.weight().data()) == doubles(randn({20, 30}, b, f64, 0, 0.01)));
  BOOST_TEST(doubles(layer.bias().data()) == std::vector<double>(30, 0));
  const nn::Affine standard(20, 30, a);
  BOOST_TEST(floats(standard.weight().data()) == floats(nn::Init::he()({20, 30}, b)));
  BOOST_TEST(!nn::Affine(2, 2, a, {.bias = false}).bias().defined());
}

BOOST_AUTO_TEST_CASE(an_affine_that_cannot_be_is_refused) {
  Generator g;
  BOOST_CHECK_EXCEPTION(nn::Affine(0, 3, g), ArgumentError, mentions("affine", "0 inputs"));
  BOOST_CHECK_EXCEPTION(nn::Affine(3, -1, g), ArgumentError, mentions("-1 outputs"));
  BOOST_CHECK_THROW(nn::Affine(3, 3, g, {.dtype = i64}), DtypeError);
  const Parameter w(Tensor::ones({2, 3}));
  BOOST_CHECK_EXCEPTION(nn::Affine(Parameter(Tensor::ones({2}))), ShapeError, mentions("[2]", "[in, out]"));
  BOOST_CHECK_EXCEPTION(nn::Affine(w, Parameter(Tensor::ones({2}))), ShapeError, mentions("[2]", "[2, 3]"));
  BOOST_CHECK_EXCEPTION(nn::Affine(w, Parameter(Tensor::ones({3}, f64))), DtypeError, mentions("f64", "f32"));
  BOOST_CHECK_THROW(nn::Affine(Parameter{}), ArgumentError);
}

// ---- functions ----

BOOST_AUTO_TEST_CASE(activations_are_their_functions) {
  const Tensor x = Tensor::from({{-3, -0.5, 0}, {0.25, 2, 30}}, f64);
  const auto check = [&](nn::Module&& layer, const Tensor& expected) {
    BOOST_TEST(doubles(layer(x)) == doubles(expected));
    BOOST_TEST(doubles((*layer.clone())(x)) == doubles(expected));
    BOOST_TEST(layer.parameter_count() == 0);
  };
  check(nn::Relu(), relu(x));
  check(nn::LeakyRelu(), leaky_relu(x, 0.01));
  check(nn::LeakyRelu(0.2), leaky_relu(x, 0.2));
  check(nn::Elu(), elu(x, 1));
  check(nn::Elu(0.5), elu(x, 0.5));
  check(nn::Sigmoid(), sigmoid(x));
  check(nn::Tanh(), tapegrad::tanh(x));
  check(nn::Softplus(), softplus(x));
  check(nn::Softplus(2.5), softplus(x, 2.5));
  check(nn::GeluTanh(), gelu_tanh(x));
  check(nn::Gelu(), gelu(x));
  check(nn::Silu(), silu(x));
  check(nn::Identity(), x);
  check(nn::Lambda([](const Tensor& t) { return t * 2; }), x * 2);
}

BOOST_AUTO_TEST_CASE(flatten_keeps_the_items) {
  BOOST_TEST(to_string(nn::Flatten()(Tensor::ones({24})).shape()) == "[24, 1]");
  BOOST_TEST(to_string(nn::Flatten()(Tensor::ones({0, 3, 4})).shape()) == "[0, 12]");
  const Tensor x = Tensor::from(std::vector<double>(24, 1.5), {2, 3, 4});
  BOOST_TEST(to_string(nn::Flatten()(x).shape()) == "[2, 12]");
  BOOST_CHECK_THROW(nn::Flatten()(Tensor::scalar(1)), ShapeError);
}

// ---- Sequential ----

BOOST_AUTO_TEST_CASE(sequential_applies_its_layers_in_order) {
  Generator rng(1);
  Generator same(1);
  nn::Sequential net{nn::Affine(3, 4, rng, {.dtype = f64}), nn::Relu(),
                     nn::Sequential{nn::Affine(4, 2, rng, {.dtype = f64}), nn::Tanh()}};
  nn::Affine first(3, 4, same, {.dtype = f64});
  nn::Affine second(4, 2, same, {.dtype = f64});
  const Tensor x = normal({5, 3}, 2);
  BOOST_TEST(doubles(net(x)) == doubles(tapegrad::tanh(second(relu(first(x))))));
  BOOST_TEST(net.size() == 3);
  BOOST_TEST(net.parameters()[2].first == "2.0.weight");
  BOOST_TEST(net.get<nn::Affine>(0).out() == 4);
  BOOST_TEST(net.get<nn::Sequential>("2").get<nn::Affine>(0).in() == 4);
  BOOST_TEST(doubles(nn::Sequential()(x)) == doubles(x));
}

BOOST_AUTO_TEST_CASE(sequential_takes_modules_pointers_functions_and_names) {
  Generator rng(1);
  nn::Sequential net{nn::named("fc", nn::Affine(2, 2, rng, {.dtype = f64})), relu,
                     [](const Tensor& x) { return x + 1; }};
  std::unique_ptr<nn::Module> pointer = std::make_unique<nn::Sigmoid>();
  net.append(std::move(pointer)).append("last", nn::Affine(2, 1, rng, {.dtype = f64}));
  net.append("tail", std::make_unique<nn::Identity>());
  nn::Affine layer(1, 1, rng, {.dtype = f64});
  net.append(std::move(layer));
  BOOST_TEST(net.size() == 7);
  std::vector<std::string> names;
  for (const auto& [name, p] : net.parameters()) names.push_back(name);
  BOOST_TEST(names == std::vector<std::string>(
                          {"fc.weight", "fc.bias", "last.weight", "last.bias", "6.weight", "6.bias"}));
  const Tensor x = normal({3, 2}, 1);
  auto& fc = net.get<nn::Affine>("fc");
  auto& last = net.get<nn::Affine>("last");
  BOOST_TEST(doubles(net(x)) == doubles(net[6](last(sigmoid(relu(fc(x)) + 1)))));
  BOOST_TEST(doubles((*net.clone())(x)) == doubles(net(x)));

  BOOST_CHECK_EXCEPTION(net.append("fc", nn::Relu()), ArgumentError, mentions("a layer 'fc' already"));
  BOOST_CHECK_EXCEPTION(net.append("a.b", nn::Relu()), ArgumentError, mentions("'a.b'"));
  BOOST_CHECK_EXCEPTION(net.append("", nn::Relu()), ArgumentError, mentions("not empty"));
  BOOST_CHECK_EXCEPTION(net.append(std::unique_ptr<nn::Module>()), ArgumentError, mentions("null"));
  BOOST_CHECK_EXCEPTION(net[7], ArgumentError, mentions("no layer 7", "7"));
  BOOST_CHECK_EXCEPTION(net["fd"], ArgumentError, mentions("no layer 'fd'", "'fc'", "'tail'"));
  BOOST_CHECK_EXCEPTION(net.get<nn::Relu>("fc"), ArgumentError,
                        mentions("'fc'", "is a tapegrad::nn::Affine, not a ", "relu>", "its own class"));
  BOOST_TEST(net.size() == 7);
}

// ---- BatchNorm ----

namespace {

/// What batch normalisation is, in plain loops.
struct BatchNormReference {
  std::vector<double> mean, variance, y;
  BatchNormReference(const Tensor& x, const std::vector<double>& gamma, const std::vector<double>& beta) {
    const auto n = static_cast<std::size_t>(x.dim(0));
    const auto c = static_cast<std::size_t>(x.dim(1));
    const std::vector<double> v = doubles(x);
    mean.resize(c);
    variance.resize(c);
    y.resize(v.size());
    for (std::size_t j = 0; j < c; ++j) {
      for (std::size_t i = 0; i < n; ++i) mean[j] += v[i * c + j] / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i)
        variance[j] += (v[i * c + j] - mean[j]) * (v[i * c + j] - mean[j]) / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i)
        y[i * c + j] = gamma[j] * (v[i * c + j] - mean[j]) / std::sqrt(variance[j] + 1e-5) + beta[j];
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(batch_norm_normalises_by_the_batch_and_keeps_running_statistics) {
  nn::BatchNorm layer(3, {.momentum = 0.8, .dtype = f64});
  layer.gamma().assign(Tensor::from({2, -1, 0.5}, f64));
  layer.beta().assign(Tensor::from({0.1, 0.2, 0.3}, f64));
  std::vector<double> mean(3, 0);
  std::vector<double> variance(3, 1);
  for (std::uint64_t step = 0; step < 3; ++step) {
    const Tensor x = normal({8, 3}, step) * 3 + 1;
    const BatchNormReference expected(x, {2, -1, 0.5}, {0.1, 0.2, 0.3});
    Tape tape;  // the running statistics are assigned under it
    const Tensor y = layer(x);
    check_close(y, expected.y, 1e-12);
    for (std::size_t j = 0; j < 3; ++j) {
      mean[j] = 0.8 * mean[j] + 0.2 * expected.mean[j];
      variance[j] = 0.8 * variance[j] + 0.2 * expected.variance[j] * 8 / 7;
    }
    check_close(layer.running_mean(), mean);
    check_close(layer.running_var(), variance);
    BOOST_TEST(!layer.running_mean().tracked());
    BOOST_TEST(tape.backward(sum(y)).size() == 2);
  }

  layer.eval();
  const Tensor x = normal({1, 3}, 9);  // one item will do
  std::vector<double> y;
  const std::vector<double> v = doubles(x);
  const double gamma[] = {2, -1, 0.5};
  const double beta[] = {0.1, 0.2, 0.3};
  for (std::size_t j = 0; j < 3; ++j)
    y.push_back(gamma[j] * (v[j] - mean[j]) / std::sqrt(variance[j] + 1e-5) + beta[j]);
  check_close(layer(x), y);
  Tape tape;
  tape.backward(sum(layer(x)));
  check_close(layer.running_mean(), mean);  // evaluation leaves them
  check_close(layer.running_var(), variance);
}

BOOST_AUTO_TEST_CASE(batch_norm_evaluates_features_whose_squares_are_beyond_their_dtype) {
  for (const double scale : {1e-30, 1.0, 1e19, 1e25, 1e30}) BOOST_TEST_CONTEXT(scale) {
      nn::BatchNorm layer(2, {.momentum = 0, .eps = scale < 1 ? 1e-70 : 1e-5});
      const Tensor x = Tensor::from({{1, -4}, {2, 0}, {3, 4}, {5, 9}}) * scale;
      layer(x);
      layer.eval();
      std::vector<double> y;
      for (const double v : {1., -4., 2., 0., 3., 4., 5., 9.})
        y.push_back(y.size() % 2 == 0 ? (v - 2.75) / std::sqrt(8.75 / 3) : (v - 2.25) / std::sqrt(92.75 / 3));
      check_close(cast(layer(x), f64), y, 1e-5);
      nn::BatchNorm loaded(2, {.eps = scale < 1 ? 1e-70 : 1e-5});
      loaded.load_state(layer.state());
      loaded.eval();
      check_close(cast(loaded(x), f64), y, 1e-5);
    }
}

BOOST_AUTO_TEST_CASE(a_running_variance_beyond_f64_is_an_error_where_it_would_divide) {
  nn::BatchNorm layer(2, {.dtype = f64});
  const Tensor x = Tensor::from({{1., 1e160}, {2., -2e160}, {4., 3e160}}, f64);
  for (const double y : doubles(layer(x))) BOOST_TEST(std::isfinite(y));
  layer.eval();
  BOOST_CHECK_EXCEPTION(layer(x), ArgumentError, mentions("batch_norm", "feature 1", "infinite", "scale"));
  BOOST_CHECK_EXCEPTION(nn::BatchNorm(2, {.eps = 1e-80}), ArgumentError, mentions("eps is 1e-80", "f32"));
  BOOST_CHECK_NO_THROW(nn::BatchNorm(2, {.eps = 1e-80, .dtype = f64}));
}

BOOST_AUTO_TEST_CASE(batch_norm_gradients_agree_with_differences) {
  nn::BatchNorm layer(2, {.dtype = f64});
  layer.gamma().assign(Tensor::from({1.5, -0.5}, f64));
  const Tensor x = normal({5, 2}, 4);
  const Tensor weights = normal({5, 2}, 5);
  const auto loss = [&](const Tensor& input) { return sum(layer(input) * weights); };
  Tape tape;
  const Tensor watched = tape.watch(x);
  const Gradients g = tape.backward(loss(watched));
  const auto differences = [&](Tensor values, const Tensor& input) {
    std::vector<double> d;
    for (double& v : values.mutable_values<double>()) {
      const double at = v;
      v = at + 1e-6;
      const double above = loss(input).item();
      v = at - 1e-6;
      const double below = loss(input).item();
      v = at;
      d.push_back((above - below) / 2e-6);
    }
    return d;
  };
  const Tensor moved = x.copy();
  check_close(g[watched], differences(moved, moved), 1e-7);
  check_close(g[layer.gamma()], differences(layer.gamma().data(), x), 1e-7);
  check_close(g[layer.beta()], differences(layer.beta().data(), x), 1e-7);
}

BOOST_AUTO_TEST_CASE(batch_norm_refuses_what_it_cannot_do) {
  nn::Sequential net{nn::named("bn", nn::BatchNorm(3))};
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({1, 3})), ArgumentError,
                        mentions("batch_norm 'bn': ", "batch of 1", "eval()"));
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({0, 3})), ArgumentError, mentions("batch of 0"));
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({4, 2})), ShapeError,
                        mentions("batch_norm 'bn': ", "[4, 2]", "[n, 3]"));
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({3})), ShapeError, mentions("[3]", "[n, 3, ...]"));
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({2, 4, 3, 3})), ShapeError,
                        mentions("batch_norm 'bn': ", "[2, 4, 3, 3]"));
  BOOST_CHECK_EXCEPTION(
      net(Tensor::ones({1, 3, 1, 1})), ArgumentError,
      mentions("batch_norm 'bn': ", "[1, 3, 1, 1]", "1 element of each feature", "at least 2"));
  BOOST_CHECK_EXCEPTION(net(Tensor::ones({4, 3, 0, 2})), ArgumentError,
                        mentions("[4, 3, 0, 2]", "no element"));
  BOOST_TEST(doubles(net.get<nn::BatchNorm>("bn").running_mean()) == std::vector<double>(3, 0));
  net.eval();
  BOOST_CHECK_NO_THROW(net(Tensor::ones({1, 3})));
  BOOST_CHECK_THROW(nn::BatchNorm(0), ArgumentError);
  BOOST_CHECK_EXCEPTION(nn::BatchNorm(3, {.momentum = 1.5}), ArgumentError, mentions("momentum is 1.5"));
  BOOST_CHECK_EXCEPTION(nn::BatchNorm(3, {.eps = 0}), ArgumentError, mentions("eps is 0"));
}

// ---- Dropout ----

BOOST_AUTO_TEST_CASE(dropout_zeroes_a_share_and_scales_the_rest) {
  nn::Dropout layer(0.25, 7);
  const Tensor x = Tensor::full({100, 100}, 3, f64);
  const std::vector<double> y = doubles(layer(x));
  std::size_t zeros = 0;
  for (const double v : y) {
    BOOST_REQUIRE((v == 0 || std::abs(v - 4) < 1e-14));
    zeros += v == 0;
  }
  BOOST_TEST(std::abs(static_cast<double>(zeros) - 2500) < 5 * 43.3);  // five standard deviations
  BOOST_TEST(doubles(layer(x)) != y);                                  // another mask
  BOOST_TEST(doubles(nn::Dropout(0.25, 7)(x)) == y);                   // the seed decides
  BOOST_TEST(doubles(nn::Dropout(0.25, 8)(x)) != y);

  const Parameter p(x);
  Tape tape;
  const Tensor out = layer(p);
  const std::vector<double> mask = doubles(out);
  const std::vector<double> g = doubles(tape.backward(sum(out))[p]);
  for (std::size_t i = 0; i < g.size(); ++i) BOOST_REQUIRE(g[i] == (mask[i] == 0 ? 0 : 1 / 0.75));

  layer.eval();
  BOOST_TEST(doubles(layer(x)) == doubles(x));
  layer.train();
  BOOST_TEST(doubles(nn::Dropout(0, 1)(x)) == doubles(x));
}

BOOST_AUTO_TEST_CASE(dropouts_of_one_generator_differ) {
  Generator rng(1);
  nn::Dropout a(0.5, rng);
  nn::Dropout b(0.5, rng);
  const Tensor x = Tensor::ones({100});
  BOOST_TEST(floats(a(x)) != floats(b(x)));
}

BOOST_AUTO_TEST_CASE(a_dropout_ratio_outside_its_range_is_refused) {
  for (const double ratio : {-0.1, 1.0, 1.5, std::nan("")})
    BOOST_CHECK_EXCEPTION(nn::Dropout(ratio, 1), ArgumentError, mentions("dropout: ratio is", "[0, 1)"));
}

BOOST_AUTO_TEST_CASE(dropout2d_drops_whole_channels) {
  nn::Dropout2d layer(0.25, 7);
  const Tensor x = Tensor::full({100, 100, 2, 3}, 3, f64);
  const Parameter p(x);
  Tape tape;
  const Tensor out = layer(p);
  const std::vector<double> y = doubles(out);
  std::size_t dropped = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    BOOST_REQUIRE((y[i] == 0 || std::abs(y[i] - 4) < 1e-14));
    BOOST_REQUIRE(y[i] == y[i / 6 * 6]);
    dropped += i % 6 == 0 && y[i] == 0;
  }
  BOOST_TEST(std::abs(static_cast<double>(dropped) - 2500) < 5 * 43.3);  // five standard deviations
  const std::vector<double> g = doubles(tape.backward(sum(out))[p]);
  for (std::size_t i = 0; i < g.size(); ++i) BOOST_REQUIRE(g[i] == (y[i] == 0 ? 0 : 1 / 0.75));
  BOOST_TEST(doubles(nn::Dropout2d(0.25, 7)(x)) == y);  // the seed decides
  BOOST_TEST(doubles(layer(x)) != y);                   // another mask
  layer.eval();
  BOOST_TEST(doubles(layer(x)) == doubles(x));

  // One word of the generator for each channel, as a mask of them takes: what follows is drawn behind these.
  Generator a(1), b(1);
  const Tensor few = Tensor::ones({3, 5, 4});
  const std::vector<float> kept = floats(dropout2d(few, 0.5, a)), mask = floats(bernoulli({3, 5}, b, 0.5));
  for (std::size_t i = 0; i < kept.size(); ++i) BOOST_TEST(kept[i] == 2 * mask[i / 4]);
  BOOST_TEST(a.state().position == 15u);
  BOOST_TEST(a() == b());
  BOOST_CHECK_EXCEPTION(layer(Tensor::ones({3, 4})), ShapeError,
                        mentions("dropout2d", "[3, 4]", "[n, c, ...]"));
  BOOST_CHECK_EXCEPTION(dropout2d(Tensor::ones({3, 4}), 0.5, a), ShapeError, mentions("dropout2d", "[3, 4]"));
  BOOST_CHECK_EXCEPTION(dropout2d(few, 1, a), ArgumentError, mentions("dropout2d: ratio is 1"));
  BOOST_CHECK_EXCEPTION(dropout2d(Tensor::ones({1, 1, 1}, i64), 0.5, a), DtypeError, mentions("dropout2d"));
  BOOST_CHECK_EXCEPTION(nn::Dropout2d(1.5, 1), ArgumentError, mentions("dropout2d: ratio is 1.5", "[0, 1)"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace layers_test
