// Norms to any power, against sums of powers in long double.

#include <cmath>

#include "op_support.h"

namespace vector_norm_op_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

using Long = long double;

Long power_norm(const std::vector<double>& x, double p) {
  Long total = 0;
  for (const double v : x) total += std::pow(std::abs(static_cast<Long>(v)), static_cast<Long>(p));
  return std::pow(total, 1 / static_cast<Long>(p));
}

/// sign(x) (|x| / norm)^(p - 1)
std::vector<double> power_slopes(const std::vector<double>& x, double p) {
  const Long y = power_norm(x, p);
  std::vector<double> slopes;
  for (const double v : x)
    slopes.push_back(static_cast<double>(std::copysign(
        std::pow(std::abs(static_cast<Long>(v)) / y, static_cast<Long>(p) - 1), static_cast<Long>(v))));
  return slopes;
}

/// Row by row (p - 1) / y (delta_ij r_i^(p - 2) - s_i s_j), with r = |x| / y and s the gradient.
std::vector<double> power_curvatures(const std::vector<double>& x, double p) {
  const Long y = power_norm(x, p);
  const std::vector<double> s = power_slopes(x, p);
  std::vector<double> h;
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < x.size(); ++j) {
      Long v = -static_cast<Long>(s[i]) * static_cast<Long>(s[j]);
      if (i == j) v += std::pow(std::abs(static_cast<Long>(x[i])) / y, static_cast<Long>(p) - 2);
      h.push_back(static_cast<double>(v * (static_cast<Long>(p) - 1) / y));
    }
  return h;
}

Tensor gradient_of_norm(const Tensor& x, double p, int order = 1) {
  return derivative([=](const Tensor& t) { return vector_norm(t, p); }, x, order);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(vector_norm_op)

BOOST_AUTO_TEST_CASE(values_gradients_and_second_derivatives) {
  const std::vector<double> x{0.3, -2, 1.25, -0.7};
  for (const double p : {0.5, 0.9, 1.0, 1.5, 2.0, 2.5, 3.0, 10.0, 100.0}) {
    const Tensor t = Tensor::from(x);
    check_tensor(vector_norm(t, p), {}, {static_cast<double>(power_norm(x, p))}, 1e-13);
    check_tensor(gradient_of_norm(t, p), {4}, power_slopes(x, p), 1e-13);
    check_tensor(hessian([=](const Tensor& v) { return vector_norm(v, p); }, t), {4, 4},
                 power_curvatures(x, p), 1e-12);
    check_tensor(vector_norm(cast(t, f32), p), {}, {static_cast<double>(power_norm(x, p))}, 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(axes) {
  const Tensor x = random({2, 3, 4});
  const std::vector<double> v = numbers(x);
  for (const double p : {0.0, 0.5, 1.0, 2.0, 3.5, kInf, -kInf}) {
    std::vector<double> expected;
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t k = 0; k < 4; ++k) {
        const std::vector<double> column{v[i * 12 + k], v[i * 12 + 4 + k], v[i * 12 + 8 + k]};
        expected.push_back(numbers(vector_norm(Tensor::from(column), p))[0]);
      }
    check_tensor(vector_norm(x, p, 1), {2, 4}, expected);
    check_tensor(vector_norm(x, p, -2, KeepDims::yes), {2, 1, 4}, expected);
  }
  check_tensor(vector_norm(x, 3, Axes({}), KeepDims::no), {2, 3, 4}, numbers(abs(x)));
  check_tensor(vector_norm(Tensor::zeros({0, 2}), 3, 0), {2}, {0, 0});
}

BOOST_AUTO_TEST_CASE(numbers_of_any_size) {
  for (const double scale : {5e-324, 1e-310, 1e-200, 1e200, 1e300})
    for (const double p : {1.5, 3.0, 7.0}) {
      const std::vector<double> x{3 * scale, -4 * scale, 12 * scale};
      std::vector<double> unit{3, -4, 12};
      const Tensor t = Tensor::from(x);
      BOOST_TEST(near(numbers(vector_norm(t, p))[0] / scale, static_cast<double>(power_norm(unit, p)),
                      scale < 1e-305 ? 0.05 : 1e-14));
      check_tensor(gradient_of_norm(t, p), {3}, power_slopes(unit, p), 1e-13);
    }
  check_tensor(vector_norm(Tensor::from({3e30, 4e30}), 3), {}, {4.497941445275415e30}, 1e-6);
  check_tensor(gradient_of_norm(Tensor::from({3e-45, 3e-45}), 3), {2},
               {std::pow(0.5, 2.0 / 3), std::pow(0.5, 2.0 / 3)}, 1e-6);
  check_tensor(vector_norm(Tensor::from({1, kInf}, f64), 3), {}, {kInf});
  check_tensor(vector_norm(Tensor::from({1, kNan}, f64), 3), {}, {kNan});
}

BOOST_AUTO_TEST_CASE(elements_of_very_different_sizes) {
  struct Case {
    Dtype dtype;
    std::vector<double> x;
  };
  const std::vector<Case> all{
      {f32, {1e15, 1e-30}},   {f32, {1e30, 1e-30}},    {f32, {1, 1e30}},      {f32, {1, -1e-30}},
      {f32, {1e30, 2e30}},    {f32, {1e-30, 3e-30}},   {f32, {-1e-38, 1e20}}, {f64, {1e30, 1e-300}},
      {f64, {1e200, 1e-200}}, {f64, {1e-300, 2e-300}}, {f64, {1e300, 1e250}}, {f64, {1e-320, 1}},
      {f64, {1, -1e-8, 1e8}},
  };
  for (const Case& c : all)
    for (const double p : {0.25, 0.5, 0.75, 1.25, 1.5, 1.75})
      BOOST_TEST_CONTEXT(c.x[0] << ", " << c.x[1] << " in " << name_of(c.dtype) << ", p " << p) {
        const Tensor x = cast(Tensor::from(c.x), c.dtype);
        const std::vector<double> rounded = numbers(cast(x, f64));
        const double eps = c.dtype == f32 ? 1e-5 : 1e-12;
        const double least = c.dtype == f32 ? 1e-36 : 1e-290, most = c.dtype == f32 ? 1e38 : 1e308;
        const auto check = [&](const Tensor& got, const std::vector<double>& expected) {
          const std::vector<double> v = numbers(got);
          for (std::size_t i = 0; i < v.size(); ++i) {
            if (std::abs(expected[i]) > most)
              BOOST_TEST(!std::isfinite(v[i]), "[" << i << "] is " << v[i]);
            else if (std::abs(expected[i]) >= least || v[i] != 0)
              BOOST_TEST((near(v[i], expected[i], eps) || std::abs(v[i] - expected[i]) < least),
                         "[" << i << "] is " << v[i] << ", not " << expected[i]);
          }
        };
        check(gradient_of_norm(x, p), power_slopes(rounded, p));
        if (c.dtype == f32 && p < 0.5) continue;  // mixed derivatives leave the range on the way
        // Column by column of the Hessian, without what is infinite beside it.
        Tape tape;
        const Tensor w = tape.watch(x);
        const Tensor g = tape.grad(vector_norm(w, p), w, {.record = Record::yes});
        const std::vector<double> h = power_curvatures(rounded, p);
        const std::size_t n = c.x.size();
        for (std::size_t i = 0; i < n; ++i) {
          std::vector<double> row(h.begin() + static_cast<std::ptrdiff_t>(i * n),
                                  h.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
          const std::vector<double> got = numbers(tape.grad(select(g, 0, static_cast<std::int64_t>(i)), w));
          for (std::size_t j = 0; j < n; ++j)
            if (j != i) check(Tensor::from(std::vector<double>{got[j]}), {row[j]});
        }
      }
  // On the diagonal, where no two terms cancel.
  const auto second = [](double a, double b, double p, Dtype dtype) {
    Tape tape;
    const Tensor w = tape.watch(cast(Tensor::from({a, b}, f64), dtype));
    const Tensor g = tape.grad(vector_norm(w, p), w, {.record = Record::yes});
    return numbers(tape.grad(select(g, 0, 1), w))[1];
  };
  BOOST_TEST(near(second(1e30, 1e-30, 1.5, f32), 0.5, 1e-5));
  BOOST_TEST(near(second(1e300, 1e-300, 1.5, f64), 0.5, 1e-12));
}

BOOST_AUTO_TEST_CASE(zeros_and_ties) {
  const Tensor x = Tensor::from({0, 2, -2, 1}, f64);
  check_tensor(vector_norm(x, kInf), {}, {2});
  check_tensor(vector_norm(x, -kInf), {}, {0});
  check_tensor(vector_norm(x, 0), {}, {3});
  check_tensor(gradient_of_norm(x, kInf), {4}, {0, 0.5, -0.5, 0});
  check_tensor(gradient_of_norm(Tensor::from({-1, 2, 1}, f64), -kInf), {3}, {-0.5, 0, 0.5});
  check_tensor(gradient_of_norm(Tensor::from({-3, 3, 1, -3, 3}, f64), kInf), {5},
               {-0.25, 0.25, 0, -0.25, 0.25});
  check_tensor(gradient_of_norm(Tensor::from({-3, 0, 1, -0., 3}, f64), 1), {5}, {-1, 0, 1, 0, 1});
  for (const double p : {1.0, kInf, -kInf})
    check_tensor(gradient_of_norm(Tensor::zeros({3}, f64), p), {3}, {0, 0, 0});
  // Within the subdifferential: the norm nowhere falls below its tangent, where it is convex.
  for (const double p : {1.0, 2.0, kInf}) {
    const Tensor at = Tensor::from({2, -2, 0, 0.5, 2}, f64);
    const Tensor slope = gradient_of_norm(at, p);
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const Tensor step = random({5}, f64, -2, 2, seed);
      const double tangent = (vector_norm(at, p) + sum(slope * step)).item();
      BOOST_TEST(vector_norm(at + step, p).item() >= tangent - 1e-12);
    }
  }
  BOOST_TEST(!vector_norm(x, 0).tracked());
  // An element that is 0, and all of them.
  for (const double p : {0.5, 1.0, 1.5, 3.0}) {
    check_tensor(gradient_of_norm(Tensor::from({0, 2}, f64), p), {2}, {0, 1});
    check_tensor(gradient_of_norm(Tensor::zeros({2}, f64), p), {2}, {0, 0});
  }
  // Where there is no second derivative it is not a number, rather than a plausible one.
  for (const double p : {0.5, 1.5})
    BOOST_TEST(!std::isfinite(numbers(gradient_of_norm(Tensor::from({0, 2}, f64), p, 2))[0]));
  for (const double p : {1.5, 3.0})
    for (const double h : numbers(gradient_of_norm(Tensor::zeros({2}, f64), p, 2)))
      BOOST_TEST(!std::isfinite(h));
  check_tensor(gradient_of_norm(Tensor::from({0, 2}, f64), 3, 2), {2}, {0, 0});
}

BOOST_AUTO_TEST_CASE(errors) {
  for (const double p : {-1.0, kNan})
    BOOST_CHECK_EXCEPTION(vector_norm(Tensor::ones({2}), p), ArgumentError, mentions("vector_norm", "p"));
  BOOST_CHECK_EXCEPTION(vector_norm(Tensor::ones({2}, i64), 3), DtypeError, mentions("vector_norm", "i64"));
  BOOST_CHECK_EXCEPTION(vector_norm(Tensor::ones({2}), 3, 1), ArgumentError, mentions("vector_norm", "axis"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vector_norm_op_test
