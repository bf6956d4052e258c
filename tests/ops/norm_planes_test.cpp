// Batch normalisation of images, sequences and volumes, beside plain loops over long doubles with PyTorch's semantics:
// statistics of each channel over all other axes.

#include <cmath>

#include <tapegrad/tapegrad.h>

#include "both_rules.h"
#include "kernel_support.h"

namespace norm_planes_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

struct Inputs {
  Tensor x, gamma, beta, g;
  Inputs(const Shape& shape, Dtype dtype, double lo = -2, double hi = 2)
      : x(random(shape, dtype, lo, hi, 1)),
        gamma(random({shape[1]}, dtype, 0.5, 2, 2)),
        beta(random({shape[1]}, dtype, -1, 1, 3)),
        g(random(shape, dtype, -1, 1, 4)) {}
};

struct Reference {
  std::vector<double> mean, variance, y, dx, dgamma, dbeta;

  Reference(const Inputs& in, double eps) {
    const auto n = static_cast<std::size_t>(in.x.dim(0)), c = static_cast<std::size_t>(in.x.dim(1));
    const auto inner = static_cast<std::size_t>(in.x.size()) / n / c;
    const std::vector<double> x = numbers(in.x), g = numbers(in.g), a = numbers(in.gamma),
                              b = numbers(in.beta);
    const auto m = static_cast<long double>(n * inner);
    y.resize(x.size());
    dx.resize(x.size());
    for (std::size_t k = 0; k < c; ++k) {
      const auto each = [&](auto&& f) {
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < inner; ++j) f((i * c + k) * inner + j);
      };
      long double sum = 0, squares = 0, seeds = 0, products = 0;
      each([&](std::size_t at) { sum += x[at]; });
      const long double centre = sum / m;
      each([&](std::size_t at) { squares += (x[at] - centre) * (x[at] - centre); });
      const long double std = std::sqrt(squares / m + eps);
      each([&](std::size_t at) {
        const long double z = (x[at] - centre) / std;
        y[at] = static_cast<double>(a[k] * z + b[k]);
        seeds += g[at];
        products += g[at] * z;
      });
      each([&](std::size_t at) {
        const long double z = (x[at] - centre) / std;
        dx[at] = static_cast<double>(a[k] / std * (g[at] - seeds / m - z * products / m));
      });
      mean.push_back(static_cast<double>(centre));
      variance.push_back(static_cast<double>(squares / m));
      dgamma.push_back(static_cast<double>(products));
      dbeta.push_back(static_cast<double>(seeds));
    }
  }
};

std::vector<Tensor> run(const Inputs& in, double eps = 1e-5) {
  Tape tape;
  const Tensor x = tape.watch(in.x), gamma = tape.watch(in.gamma), beta = tape.watch(in.beta);
  const BatchNormalized out = batch_norm(x, gamma, beta, eps);
  const Gradients g = tape.backward(out.y, in.g);
  return {out.y.detach(), out.mean, out.variance, g[x], g[gamma], g[beta]};
}

void check_against_reference(const Inputs& in, double eps, double tolerance) {
  const Reference expected(in, eps);
  const std::vector<Tensor> have = run(in, eps);
  const double of_sums = tolerance * std::sqrt(static_cast<double>(in.x.size() / in.x.dim(1)));
  check_tensor(have[0], in.x.shape(), expected.y, tolerance);
  check_tensor(have[1], in.gamma.shape(), expected.mean, tolerance);
  check_tensor(have[2], in.gamma.shape(), expected.variance, tolerance);
  check_tensor(have[3], in.x.shape(), expected.dx, tolerance);
  check_tensor(have[4], in.gamma.shape(), expected.dgamma, of_sums);
  check_tensor(have[5], in.gamma.shape(), expected.dbeta, of_sums);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(norm_planes)

BOOST_AUTO_TEST_CASE(values_and_gradients_are_those_of_plain_loops) {
  // Planes below a row of lanes, of rows and a rest, of rows alone, of several segments; one and many items.
  const std::vector<Shape> shapes{{3, 2, 1},       {2, 3, 5},      {4, 1, 2, 2},    {9, 5, 7, 7},
                                  {1, 2, 4, 8},    {5, 3, 28, 28}, {50, 2, 33, 31}, {2, 1, 70000},
                                  {1, 2, 5, 4, 6}, {40, 300, 2}};
  for_each_isa([&] {
    for (const Shape& shape : shapes) BOOST_TEST_CONTEXT(to_string(shape)) {
        check_against_reference(Inputs(shape, f64), 1e-5, 1e-12);
        check_against_reference(Inputs(shape, f32), 0.01, 6e-6);
      }
  });
}

BOOST_AUTO_TEST_CASE(both_rules_agree_on_images) {
  const Inputs in({3, 4, 5, 2}, f64);
  with_both_rules([&] { check_against_reference(in, 1e-5, 1e-12); });
}

BOOST_AUTO_TEST_CASE(channels_far_from_zero_keep_their_digits) {
  for_each_isa([] {
    check_against_reference(Inputs({6, 3, 30, 30}, f32, 9998, 10002), 1e-5, 6e-6);
    // Each item is around another mean.
    Inputs in({40, 2, 9, 8}, f32);
    const std::span<float> x = in.x.mutable_values<float>();
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i / 144) * 100 + x[i];
    check_against_reference(in, 1e-5, 6e-6);
  });
}

BOOST_AUTO_TEST_CASE(planes_are_normalised_as_the_rows_of_their_elements) {
  // [n, c, h, w] with its channels last, and as features.
  const Inputs in({5, 3, 4, 6}, f64);
  const std::vector<Tensor> planes = run(in);
  const auto rows = [](const Tensor& t) { return reshape(permute(t, {0, 2, 3, 1}), {120, 3}); };
  Inputs of_rows = in;
  of_rows.x = rows(in.x);
  of_rows.g = rows(in.g);
  const std::vector<Tensor> expected = run(of_rows);
  for (std::size_t i : {0, 3}) check_tensor(rows(planes[i]), {120, 3}, numbers(expected[i]), 1e-13);
  for (std::size_t i : {1, 2, 4, 5}) check_tensor(planes[i], {3}, numbers(expected[i]), 1e-13);
}

BOOST_AUTO_TEST_CASE(no_bit_depends_on_the_number_of_threads) {
  for (const Shape& shape : {Shape{30, 5, 28, 28}, Shape{2, 2, 300, 301}, Shape{100, 64, 7, 7}})
    check_bits_for_threads([&] { return run(Inputs(shape, f32)); });
}

BOOST_AUTO_TEST_CASE(gradients_are_added_where_there_are_others) {
  const Inputs in({3, 2, 5, 8}, f64);
  const Reference expected(in, 1e-5);
  Tape tape;
  const Tensor x = tape.watch(in.x);
  const Tensor once = batch_norm(x, in.gamma, in.beta).y, twice = batch_norm(x, in.gamma, in.beta).y;
  check_tensor(tape.backward(once + twice, in.g)[x] / 2, in.x.shape(), expected.dx, 1e-12);
}

BOOST_AUTO_TEST_CASE(channels_of_any_size) {
  for (const Dtype dtype : {f64, f32})
    for (const double scale : dtype == f64 ? std::vector{1e200, 1e-140} : std::vector{1e30, 1e-30})
      with_both_rules([&] {
        const Inputs in({3, 2, 2, 3}, dtype);
        Inputs large = in;
        large.x = in.x * reshape(cast(Tensor::from({scale, 1}, f64), dtype), {2, 1, 1});
        const std::vector<Tensor> expected = run(in, 1e-300), have = run(large, 1e-300);
        const double tolerance = dtype == f64 ? 1e-12 : 1e-5;
        for (const std::size_t k : {0, 4, 5})
          check_tensor(have[k], expected[k].shape(), numbers(expected[k]), tolerance);
        const std::vector<double> a = numbers(expected[3]), b = numbers(have[3]);
        for (std::size_t i = 0; i < a.size(); ++i) {
          const double by = i / 6 % 2 ? 1 : scale;
          if (std::abs(a[i] / by) > (dtype == f64 ? 1e-300 : 1e-36))
            BOOST_TEST(near(b[i] * by, a[i], 10 * tolerance));
        }
      });
}

BOOST_AUTO_TEST_CASE(a_channel_without_gradient_contributes_nothing) {
  with_both_rules([] {
    Inputs in({2, 2, 3}, f64);
    for (const std::size_t at : {std::size_t{1}, std::size_t{7}}) in.x.mutable_values<double>()[at] = kNan;
    std::span<double> g = in.g.mutable_values<double>();
    for (std::size_t i = 0; i < g.size(); ++i)
      if (i / 3 % 2 == 0) g[i] = 0;
    const std::vector<double> dx = numbers(run(in)[3]);
    for (std::size_t i = 0; i < dx.size(); ++i)
      BOOST_TEST((i / 3 % 2 == 0 ? dx[i] == 0 : std::isfinite(dx[i])), "element " << i << ": " << dx[i]);
  });
}

BOOST_AUTO_TEST_CASE(no_channels_and_no_elements) {
  const Tensor none = Tensor::ones({0});
  check_tensor(batch_norm(Tensor::ones({3, 0, 2}), none, none).y, {3, 0, 2}, {});
  const Tensor two = Tensor::ones({2});
  BOOST_CHECK_EXCEPTION(batch_norm(Tensor::ones({3, 2, 0, 4}), two, two), ArgumentError,
                        mentions("batch_norm", "[3, 2, 0, 4]", "no elements in a channel"));
  BOOST_CHECK_EXCEPTION(batch_norm(Tensor::ones({3, 4, 2, 2}), two, two), ShapeError,
                        mentions("gamma [2]", "[3, 4, 2, 2]", "[4]"));
}

BOOST_AUTO_TEST_CASE(the_layer_keeps_the_unbiased_variance_and_evaluates_channels) {
  nn::BatchNorm layer(3, {.momentum = 0.9, .dtype = f64});
  const Inputs in({4, 3, 2, 5}, f64);
  layer.gamma().assign(in.gamma);
  layer.beta().assign(in.beta);
  const Reference expected(in, 1e-5);
  check_tensor(layer(in.x), in.x.shape(), expected.y, 1e-12);
  const std::vector<double> mean = numbers(layer.running_mean()), variance = numbers(layer.running_var());
  for (std::size_t k = 0; k < 3; ++k) {
    BOOST_TEST(near(mean[k], 0.1 * expected.mean[k], 1e-14));
    BOOST_TEST(near(variance[k], 0.9 + 0.1 * expected.variance[k] * 40 / 39, 1e-14));
  }
  layer.eval();
  const std::vector<double> x = numbers(in.x), y = numbers(layer(in.x)), a = numbers(in.gamma),
                            b = numbers(in.beta);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t k = i / 10 % 3;
    BOOST_TEST(near(y[i], a[k] * (x[i] - mean[k]) / std::sqrt(variance[k] + 1e-5) + b[k], 1e-12));
  }
  check_tensor(layer.running_mean(), {3}, mean, 0);
  layer.train();
  BOOST_CHECK_NO_THROW(layer(random({1, 3, 1, 2}, f64)));  // two elements of each channel
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace norm_planes_test
