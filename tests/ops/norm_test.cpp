#include <cmath>

#include <tapegrad/ops/define.h>

#include "both_rules.h"
#include "kernel_support.h"

namespace norm_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Batch normalisation and its gradients for a seed g, in plain loops over doubles.
struct Reference {
  std::vector<double> mean, variance, y, dx, dgamma, dbeta;

  Reference(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& g, double eps) {
    const auto n = static_cast<std::size_t>(x.dim(0));
    const auto c = static_cast<std::size_t>(x.dim(1));
    const auto count = static_cast<double>(n);
    const std::vector<double> v = numbers(x), seed = numbers(g), a = numbers(gamma), b = numbers(beta);
    y.resize(n * c);
    dx.resize(n * c);
    for (std::size_t j = 0; j < c; ++j) {
      long double sum = 0, squares = 0, seeds = 0, products = 0;
      for (std::size_t i = 0; i < n; ++i) sum += v[i * c + j];
      const auto m = static_cast<double>(sum / count);
      for (std::size_t i = 0; i < n; ++i) squares += (v[i * c + j] - m) * (v[i * c + j] - m);
      const auto of_batch = static_cast<double>(squares / count);
      const double std = std::sqrt(of_batch + eps);
      for (std::size_t i = 0; i < n; ++i) {
        const double z = (v[i * c + j] - m) / std;
        y[i * c + j] = a[j] * z + b[j];
        seeds += seed[i * c + j];
        products += seed[i * c + j] * z;
      }
      mean.push_back(m);
      variance.push_back(of_batch);
      dgamma.push_back(static_cast<double>(products));
      dbeta.push_back(static_cast<double>(seeds));
      for (std::size_t i = 0; i < n; ++i) {
        const double z = (v[i * c + j] - m) / std;
        dx[i * c + j] = a[j] / std * (seed[i * c + j] - dbeta[j] / count - z * dgamma[j] / count);
      }
    }
  }
};

struct Inputs {
  Tensor x, gamma, beta, g;
  Inputs(std::int64_t n, std::int64_t c, Dtype dtype, double lo = -2, double hi = 2)
      : x(random({n, c}, dtype, lo, hi, 1)),
        gamma(random({c}, dtype, 0.5, 2, 2)),
        beta(random({c}, dtype, -1, 1, 3)),
        g(random({n, c}, dtype, -1, 1, 4)) {}
};

void check_against_reference(const Inputs& in, double eps, double tolerance) {
  const Reference expected(in.x, in.gamma, in.beta, in.g, eps);
  Tape tape;
  const Tensor x = tape.watch(in.x), gamma = tape.watch(in.gamma), beta = tape.watch(in.beta);
  const BatchNormalized out = batch_norm(x, gamma, beta, eps);
  check_tensor(out.y, in.x.shape(), expected.y, tolerance);
  check_tensor(out.mean, in.gamma.shape(), expected.mean, tolerance);
  check_tensor(out.variance, in.gamma.shape(), expected.variance, tolerance);
  BOOST_TEST((out.mean.dtype() == f64 && out.variance.dtype() == f64));
  BOOST_TEST(!out.mean.tracked());
  BOOST_TEST(!out.variance.tracked());
  const Gradients g = tape.backward(out.y, in.g);
  check_tensor(g[x], in.x.shape(), expected.dx, tolerance);
  // Sums: their error grows with what is summed, not with what remains.
  const double of_sums = tolerance * std::sqrt(static_cast<double>(in.x.dim(0)));
  check_tensor(g[gamma], in.gamma.shape(), expected.dgamma, of_sums);
  check_tensor(g[beta], in.beta.shape(), expected.dbeta, of_sums);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(norm)

BOOST_AUTO_TEST_CASE(values_and_gradients_are_those_of_plain_loops) {
  // Columns: a rest alone, steps and a rest, several tiles. Rows: below four, a rest of four, beyond a block
  // of sums, several ranges.
  const std::vector<std::pair<std::int64_t, std::int64_t>> shapes{
      {1, 3}, {2, 1}, {3, 16}, {7, 50}, {33, 17}, {70, 600}, {5000, 30}, {700, 257}};
  for_each_isa([&] {
    for (const auto& [n, c] : shapes) BOOST_TEST_CONTEXT("[" << n << ", " << c << "]") {
        check_against_reference(Inputs(n, c, f64), 1e-5, 1e-12);
        // A deviation near zero leaves sqrt(eps) as the divisor, which magnifies what was rounded.
        check_against_reference(Inputs(n, c, f32), n <= 2 ? 0.1 : 1e-5, 4e-6);
      }
  });
}

BOOST_AUTO_TEST_CASE(columns_far_from_zero_keep_their_digits) {
  // Mean 1e4, deviation 1: the squares alone, or sums in f32, would leave nothing of the variance.
  for_each_isa([] {
    for (const std::int64_t n : {50, 4000})
      check_against_reference(Inputs(n, 20, f32, 9998, 10002), 1e-5, 4e-6);
    check_against_reference(Inputs(4000, 20, f64, 9998, 10002), 1e-5, 2e-11);
  });
}

BOOST_AUTO_TEST_CASE(a_column_that_drifts_keeps_its_digits) {
  // Each block of rows is around another mean.
  Inputs in(3000, 3, f32);
  const std::span<float> x = in.x.mutable_values<float>();
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i / 3 % 3000) + x[i] * 0.01F;
  check_against_reference(in, 1e-5, 4e-6);
}

BOOST_AUTO_TEST_CASE(no_bit_depends_on_the_number_of_threads) {
  for (const auto& [n, c] : {std::pair<std::int64_t, std::int64_t>{9000, 40}, {300, 1100}, {1000, 700}})
    check_bits_for_threads([&, n = n, c = c] {
      const Inputs in(n, c, f32);
      Tape tape;
      const Tensor x = tape.watch(in.x), gamma = tape.watch(in.gamma), beta = tape.watch(in.beta);
      const BatchNormalized out = batch_norm(x, gamma, beta);
      const Gradients g = tape.backward(out.y, in.g);
      return std::vector<Tensor>{out.y.detach(), out.mean, out.variance, g[x], g[gamma], g[beta]};
    });
}

BOOST_AUTO_TEST_CASE(only_the_gradients_that_are_asked_for) {
  const Inputs in(6, 5, f64);
  const Reference expected(in.x, in.gamma, in.beta, in.g, 1e-5);
  const Tensor* const inputs[] = {&in.x, &in.gamma, &in.beta};
  const std::vector<double>* const gradients[] = {&expected.dx, &expected.dgamma, &expected.dbeta};
  for (std::size_t i = 0; i < 3; ++i) {
    Tape tape;
    const Tensor leaf = tape.watch(*inputs[i]);
    const Tensor y = batch_norm(i == 0 ? leaf : in.x, i == 1 ? leaf : in.gamma, i == 2 ? leaf : in.beta).y;
    check_tensor(tape.backward(y, in.g)[leaf], inputs[i]->shape(), *gradients[i]);
  }
}

BOOST_AUTO_TEST_CASE(gradients_are_added_where_there_are_others) {
  const Inputs in(6, 20, f64);
  const Reference expected(in.x, in.gamma, in.beta, in.g, 1e-5);
  Tape tape;
  const Tensor x = tape.watch(in.x), gamma = tape.watch(in.gamma), beta = tape.watch(in.beta);
  const Tensor once = batch_norm(x, gamma, beta).y, twice = batch_norm(x, gamma, beta).y;
  const Gradients g = tape.backward(once + twice, in.g);
  const auto doubled = [](std::vector<double> v) {
    for (double& e : v) e *= 2;
    return v;
  };
  check_tensor(g[x], in.x.shape(), doubled(expected.dx));
  check_tensor(g[gamma], in.gamma.shape(), doubled(expected.dgamma));
  check_tensor(g[beta], in.beta.shape(), doubled(expected.dbeta));
}

BOOST_AUTO_TEST_CASE(the_general_rule_agrees) {
  const Inputs in(9, 18, f64);
  const Reference expected(in.x, in.gamma, in.beta, in.g, 1e-5);
  Tape tape;
  const Tensor x = tape.watch(in.x), gamma = tape.watch(in.gamma), beta = tape.watch(in.beta);
  const Tensor y = batch_norm(x, gamma, beta).y;
  const detail::GeneralRules general;
  const Gradients g = tape.backward(y, in.g);
  check_tensor(g[x], in.x.shape(), expected.dx);
  check_tensor(g[gamma], in.gamma.shape(), expected.dgamma);
  check_tensor(g[beta], in.beta.shape(), expected.dbeta);
}

BOOST_AUTO_TEST_CASE(nothing_comes_of_no_features_and_of_not_a_number) {
  const Inputs none(3, 0, f32);
  check_tensor(batch_norm(none.x, none.gamma, none.beta).y, {3, 0}, {});
  Inputs in(40, 3, f32);
  in.x.mutable_values<float>()[7] = static_cast<float>(kNan);  // column 1
  const std::vector<double> y = numbers(batch_norm(in.x, in.gamma, in.beta).y);
  for (std::size_t i = 0; i < y.size(); ++i) BOOST_TEST(std::isnan(y[i]) == (i % 3 == 1));
}

BOOST_AUTO_TEST_CASE(an_eps_below_what_f32_holds) {
  const Tensor x = Tensor::ones({40, 3}), of_each = Tensor::ones({3});
  for (const double v : numbers(batch_norm(x, of_each, of_each, 1e-50).y)) BOOST_TEST(v == 1);
}

BOOST_AUTO_TEST_CASE(the_statistics_are_the_callers_to_change) {
  Tape tape;
  const Tensor x = tape.watch(random({5, 2}));
  BatchNormalized b = batch_norm(x, Tensor::ones({2}, f64), Tensor::zeros({2}, f64));
  const double variance = b.variance.values<double>()[0];
  b.mean.mutable_values<double>()[0] = 7;
  BOOST_TEST(b.variance.values<double>()[0] == variance);
  BOOST_TEST(tape.grad(sum(square(b.y)), x).size() == 10);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const Tensor x = Tensor::ones({4, 3}), of_each = Tensor::ones({3});
  BOOST_CHECK_EXCEPTION(batch_norm(Tensor::ones({4}), of_each, of_each), ShapeError,
                        mentions("batch_norm", "[4]", "[n, features]", "[n, channels, ...]"));
  BOOST_CHECK_EXCEPTION(batch_norm(Tensor::ones({0, 3}), of_each, of_each), ArgumentError,
                        mentions("batch_norm", "[0, 3]", "no rows"));
  BOOST_CHECK_EXCEPTION(batch_norm(Tensor::ones({4, 3}, i64), of_each, of_each), DtypeError,
                        mentions("batch_norm", "i64"));
  BOOST_CHECK_EXCEPTION(batch_norm(x, Tensor::ones({4}), of_each), ShapeError,
                        mentions("gamma [4]", "[4, 3]", "[3]"));
  BOOST_CHECK_EXCEPTION(batch_norm(x, of_each, Tensor::ones({1, 3})), ShapeError, mentions("beta [1, 3]"));
  BOOST_CHECK_EXCEPTION(batch_norm(x, of_each, Tensor::ones({3}, f64)), DtypeError,
                        mentions("beta of f64", "f32"));
  BOOST_CHECK_EXCEPTION(batch_norm(Tensor(), of_each, of_each), ArgumentError, mentions("undefined"));
  for (const double eps : {0.0, -1.0, kNan, kInf})
    BOOST_CHECK_EXCEPTION(batch_norm(x, of_each, of_each, eps), ArgumentError, mentions("eps is"));
}

BOOST_AUTO_TEST_CASE(features_of_any_size) {
  // One feature is scaled, the other stays: values and gradients of gamma are those at scale 1, of x by its inverse.
  for (const Dtype dtype : {f64, f32})
    for (const double scale :
         dtype == f64 ? std::vector{1e200, 1e307, 1e-140} : std::vector{1e30, 1e38, 1e-30})
      with_both_rules([&] {
        const Inputs in(7, 2, dtype);
        const auto run = [&](const Tensor& given, double added) {
          Tape tape;
          const Tensor x = tape.watch(given), gamma = tape.watch(in.gamma), beta = tape.watch(in.beta);
          const Tensor y = batch_norm(x, gamma, beta, added).y;
          const Gradients g = tape.backward(y, in.g);
          return std::vector{y.detach(), g[gamma], g[x]};
        };
        const Tensor scales = cast(Tensor::from({scale, 1}, f64), dtype);
        const std::vector<Tensor> expected = run(in.x / 2, 1e-300), have = run(in.x / 2 * scales, 1e-300);
        const double tolerance = dtype == f64 ? 1e-12 : 1e-5;
        for (std::size_t k = 0; k < 2; ++k)
          check_tensor(have[k], expected[k].shape(), numbers(expected[k]), tolerance);
        const std::vector<double> a = numbers(expected[2]), b = numbers(have[2]);
        for (std::size_t i = 0; i < a.size(); ++i)
          if (i % 2 || std::abs(a[i] / scale) > (dtype == f64 ? 1e-300 : 1e-36))
            BOOST_TEST(near(b[i] * (i % 2 ? 1 : scale), a[i], 10 * tolerance));
      });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace norm_test
