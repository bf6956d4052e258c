// Functions of two numbers, logarithms and roots to other bases, rounding, and what is not finite: values and first
// and second derivatives against formulas in long double, over all magnitudes that a dtype has.

#include <array>
#include <cmath>
#include <optional>

#include "long_derivatives.h"
#include "op_support.h"

namespace special_test {

using namespace tapegrad;
using namespace tapegrad::test;

BOOST_AUTO_TEST_SUITE(special)

BOOST_AUTO_TEST_CASE(the_plane) {
  for (const Dtype dtype : {f32, f64}) {
    const std::vector<double> x = magnitudes(dtype, true);
    check_derivatives<2>(
        "hypot", dtype, plane(dtype, x, x), [](const Tensor& a, const Tensor& b) { return hypot(a, b); },
        [](auto a, auto b) { return hypot(a, b); },
        [](const std::array<Long, 2>& p) {
          const Long h = hypotl(p[0], p[1]), c = p[0] / h, s = p[1] / h;
          return Expected{h, {c, s}, {s * s / h, -c * s / h, -c * s / h, c * c / h}};
        },
        {2, 4, 16});
    check_derivatives<2>(
        "atan2", dtype, plane(dtype, x, x), [](const Tensor& a, const Tensor& b) { return atan2(a, b); },
        [](auto a, auto b) { return atan2(a, b); },
        [](const std::array<Long, 2>& p) {
          const Long h = hypotl(p[0], p[1]), s = p[0] / h, c = p[1] / h;
          const Long mixed = (p[0] - p[1]) / h * ((p[0] + p[1]) / h) / h / h;
          return Expected{atan2l(p[0], p[1]),
                          {c / h, -s / h},
                          {-2 * (s / h) * (c / h), mixed, mixed, 2 * (s / h) * (c / h)}};
        },
        {2, 8, 24});
  }
}

BOOST_AUTO_TEST_CASE(at_the_origin) {
  Tape tape;
  const Tensor a = tape.watch(Tensor::from({0, 0}, f64)), b = tape.watch(Tensor::from({0, 3}, f64));
  const std::vector<Tensor> g = tape.grad(sum(hypot(a, b)), {a, b}, {.record = Record::yes});
  check_tensor(g[0], {2}, {0, 0});
  check_tensor(g[1], {2}, {0, 1});
  check_tensor(tape.grad(sum(g[0]), a), {2}, {kNan, 1.0 / 3});
  check_tensor(tape.grad(sum(g[1]), b), {2}, {kNan, 0});
  for (const Tensor& h : tape.grad(sum(atan2(a, b)), {a, b})) BOOST_TEST(std::isnan(numbers(h)[0]));
  check_tensor(atan2(a, b), {2}, {0, 0});
  // Every quadrant and axis.
  const double pi = std::acos(-1.0);
  check_tensor(atan2(Tensor::from({1, 1, -1, -1, 0, -0.0, 1, -1}, f64),
                     Tensor::from({1, -1, -1, 1, -1, -1, 0, 0}, f64)),
               {8}, {pi / 4, 3 * pi / 4, -3 * pi / 4, -pi / 4, pi, -pi, pi / 2, -pi / 2});
  check_tensor(hypot(Tensor::from({kInf, kNan, kNan}, f64), Tensor::from({1, kInf, 1}, f64)), {3},
               {kInf, kInf, kNan});
}

// Near an axis, where terms of the third derivatives cancel; in any order of differentiation.
BOOST_AUTO_TEST_CASE(third_derivatives_of_the_angle) {
  const auto f = [](const Tensor& a, const Tensor& b) { return atan2(a, b); };
  const auto in_map = [](const Tensor& a, const Tensor& b) {
    return map([](auto y, auto x) { return atan2(y, x); }, a, b);
  };
  for (const double large : {0.3, -2.0})
    for (const double small : {1e-2, -1e-5, 1e-8, 1e-20})
      for (const bool along_x : {true, false}) {
        const double y = along_x ? small : large, x = along_x ? large : small;
        const double cubed = std::pow(x * x + y * y, 3);
        const double yyx = 2 * y * (3 * x * x - y * y) / cubed, yxx = 2 * x * (x * x - 3 * y * y) / cubed;
        for (const bool by_map : {false, true}) {
          Tape tape;
          const Tensor a = tape.watch(Tensor::scalar(y, f64)), b = tape.watch(Tensor::scalar(x, f64));
          const Tensor angle = by_map ? in_map(a, b) : f(a, b);
          const auto of = [&](std::initializer_list<const Tensor*> order) {
            Tensor d = angle;
            for (const Tensor* leaf : order) d = tape.grad(d, *leaf, {.record = Record::yes});
            return d.item();
          };
          for (const auto& order :
               {std::initializer_list<const Tensor*>{&a, &a, &b}, {&a, &b, &a}, {&b, &a, &a}})
            BOOST_TEST(near(of(order), yyx, 1e-12),
                       "at " << y << " " << x << ": " << of(order) << ", not " << yyx);
          for (const auto& order :
               {std::initializer_list<const Tensor*>{&b, &b, &a}, {&b, &a, &b}, {&a, &b, &b}})
            BOOST_TEST(near(of(order), yxx, 1e-12),
                       "at " << y << " " << x << ": " << of(order) << ", not " << yxx);
        }
      }
}

BOOST_AUTO_TEST_CASE(logarithms_exponentials_and_the_cube_root) {
  for (const Dtype dtype : {f32, f64}) {
    const std::vector<double> positive = magnitudes(dtype, false), all = magnitudes(dtype, true);
    const Long ln2 = std::log(Long{2}), ln10 = std::log(Long{10});
    check_derivatives<1>(
        "log2", dtype, line(positive), [](const Tensor& x) { return log2(x); },
        [](auto x) { return log2(x); },
        [=](const std::array<Long, 1>& p) {
          return Expected{std::log2(p[0]), {1 / (p[0] * ln2)}, {-1 / (p[0] * p[0] * ln2)}};
        },
        {2, 3, 6});
    check_derivatives<1>(
        "log10", dtype, line(positive), [](const Tensor& x) { return log10(x); },
        [](auto x) { return log10(x); },
        [=](const std::array<Long, 1>& p) {
          return Expected{std::log10(p[0]), {1 / (p[0] * ln10)}, {-1 / (p[0] * p[0] * ln10)}};
        },
        {2, 3, 6});
    check_derivatives<1>(
        "cbrt", dtype, line(all), [](const Tensor& x) { return cbrt(x); }, [](auto x) { return cbrt(x); },
        [](const std::array<Long, 1>& p) {
          const Long y = std::cbrt(p[0]);
          return Expected{y, {1 / (3 * y * y)}, {-2 / (9 * y * y * y * y * y)}};
        },
        {2, 6, 12});
    std::vector<double> exponents;
    for (const double x : all)
      if (std::abs(x) < (dtype == f32 ? 126 : 1020)) exponents.push_back(x);
    check_derivatives<1>(
        "exp2", dtype, line(exponents), [](const Tensor& x) { return exp2(x); },
        [](auto x) { return exp2(x); },
        [=](const std::array<Long, 1>& p) {
          const Long y = std::exp2(p[0]);
          return Expected{y, {ln2 * y}, {ln2 * ln2 * y}};
        },
        {2, 3, 5});
  }
  check_tensor(log2(Tensor::from({8, 0.25, 0, -1}, f64)), {4}, {3, -2, -kInf, kNan}, 0);
  check_tensor(log10(Tensor::from({1000, 0.01}, f64)), {2}, {3, -2}, 0);
  check_tensor(exp2(Tensor::from({10, -1, 2000, -2000}, f64)), {4}, {1024, 0.5, kInf, 0}, 0);
  check_tensor(cbrt(Tensor::from({-27, 0, 8}, f64)), {3}, {-3, 0, 2}, 1e-15);
  check_tensor(derivative([](const Tensor& x) { return cbrt(x); }, Tensor::from({0}, f64)), {1}, {kInf});
  check_tensor(derivative([](const Tensor& x) { return cbrt(x); }, Tensor::from({-8}, f64), 2), {1},
               {1.0 / 144});
}

BOOST_AUTO_TEST_CASE(x_log_y) {
  for (const Dtype dtype : {f32, f64})
    check_derivatives<2>(
        "xlogy", dtype, plane(dtype, magnitudes(dtype, true), magnitudes(dtype, false)),
        [](const Tensor& x, const Tensor& y) { return xlogy(x, y); },
        [](auto x, auto y) { return xlogy(x, y); },
        [](const std::array<Long, 2>& p) {
          return Expected{p[0] * std::log(p[1]),
                          {std::log(p[1]), p[0] / p[1]},
                          {0, 1 / p[1], 1 / p[1], -p[0] / p[1] / p[1]}};
        },
        {6, 4, 8});
  const Tensor zero = Tensor::from({0, 0, 0, -0.0, 0}, f64), y = Tensor::from({0, -1, kInf, 2, kNan}, f64);
  check_tensor(xlogy(zero, y), {5}, {0, 0, 0, 0, kNan});
  check_tensor(map([](auto a, auto b) { return xlogy(a, b); }, zero, y), {5}, {0, 0, 0, 0, kNan});
  Tape tape;
  const Tensor a = tape.watch(Tensor::from({0, 0, 2}, f64)), b = tape.watch(Tensor::from({0, 4, 0}, f64));
  const std::vector<Tensor> g = tape.grad(sum(xlogy(a, b)), {a, b}, {.record = Record::yes});
  check_tensor(g[0], {3}, {-kInf, std::log(4.0), -kInf});
  check_tensor(g[1], {3}, {0, 0, kInf});
  const std::vector<double> mixed = numbers(tape.grad(sum(g[1]), a));
  BOOST_TEST(!std::isfinite(mixed[0]));
  BOOST_TEST(mixed[1] == 0.25);
}

BOOST_AUTO_TEST_CASE(logarithm_of_a_sum_of_exponentials) {
  for (const Dtype dtype : {f32, f64}) {
    std::vector<double> some;
    for (const double x : magnitudes(dtype, true))
      if (std::abs(x) < (dtype == f32 ? 40 : 300)) some.push_back(x);  // no slope is subnormal
    some.push_back(0);
    check_derivatives<2>(
        "logaddexp", dtype, plane(dtype, some, some),
        [](const Tensor& a, const Tensor& b) { return logaddexp(a, b); },
        [](auto a, auto b) { return logaddexp(a, b); },
        [](const std::array<Long, 2>& p) {
          const Long d = p[0] - p[1], u = 1 / (1 + std::exp(-d)), v = 1 / (1 + std::exp(d));
          return Expected{std::max(p[0], p[1]) + std::log1p(std::exp(-std::abs(d))),
                          {u, v},
                          {u * v, -u * v, -u * v, u * v}};
        },
        {64, dtype == f32 ? 128.0 : 1024.0, dtype == f32 ? 256.0 : 2048.0});
  }
  const Tensor a = Tensor::from({kInf, -kInf, kInf, -kInf, kNan, 1000, -1000}, f64);
  const Tensor b = Tensor::from({kInf, -kInf, -kInf, 2, 1, 1000, -1001}, f64);
  check_tensor(logaddexp(a, b), {7},
               {kInf, -kInf, kInf, 2, kNan, 1000 + std::log(2.0), -1000 + std::log1p(std::exp(-1.0))}, 1e-15);
  Tape tape;
  const Tensor x = tape.watch(a), y = tape.watch(b);
  const std::vector<Tensor> g = tape.grad(sum(logaddexp(x, y)), {x, y});
  const double s = 1 / (1 + std::exp(-1.0));
  check_tensor(g[0], {7}, {0.5, 0.5, 1, 0, kNan, 0.5, s}, 1e-14);
  check_tensor(g[1], {7}, {0.5, 0.5, 0, 1, kNan, 0.5, 1 - s}, 1e-14);
}

BOOST_AUTO_TEST_CASE(remainders) {
  const std::vector<double> a{7, -7, 7, -7, 6, -6, -1e-20, 5.5, 1e300, 5e-324, 0};
  const std::vector<double> b{3, 3, -3, -3, 3, 3, 1, -0.25, 3e-300, 1e300, -2};
  const Tensor x = Tensor::from(a), y = Tensor::from(b);
  std::vector<double> python, c;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double r = std::fmod(a[i], b[i]);
    c.push_back(r);
    python.push_back(r != 0 && (r < 0) != (b[i] < 0) ? r + b[i] : r);
  }
  check_tensor(fmod(x, y), {11}, c, 0);
  check_tensor(remainder(x, y), {11}, python, 0);
  check_tensor(remainder(Tensor::from({7, -7}), 3), {2}, {1, 2}, 0);
  check_tensor(fmod(Tensor::from({7, -7}), 3), {2}, {1, -1}, 0);
  check_tensor(remainder(7, Tensor::from({3, -3})), {2}, {1, -2}, 0);
  check_tensor(remainder(Tensor::from({1}), 0), {1}, {kNan});
  BOOST_TEST(std::signbit(numbers(remainder(Tensor::from({6.0}), -3))[0]));
  // The gradient for b is the whole quotient that the value was made with, also where a / b is rounded up to one.
  for (const auto& f : {std::function<Tensor(Tensor, Tensor)>([](auto u, auto v) { return remainder(u, v); }),
                        std::function<Tensor(Tensor, Tensor)>([](auto u, auto v) {
                          return map([](auto p, auto q) { return remainder(p, q); }, u, v);
                        })}) {
    Tape tape;
    const Tensor p = tape.watch(Tensor::from({7, -7, 7, -7, 6, -1e-20, 1 - 1e-17}, f64));
    const Tensor q = tape.watch(Tensor::from({3, 3, -3, -3, 3, 1, 0.1}, f64));
    const std::vector<Tensor> g = tape.grad(sum(f(p, q)), {p, q}, {.record = Record::yes});
    check_tensor(g[0], {7}, {1, 1, 1, 1, 1, 1, 1}, 0);
    check_tensor(g[1], {7}, {-2, 3, 3, -2, -2, 1, -9}, 0);
    if (g[1].tracked()) check_tensor(tape.grad(sum(g[1]), q), {7}, {0, 0, 0, 0, 0, 0, 0}, 0);
  }
  Tape tape;
  const Tensor p = tape.watch(x), q = tape.watch(y);
  const std::vector<double> slope = numbers(tape.grad(sum(fmod(p, q)), {p, q})[1]);
  for (std::size_t i : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) BOOST_TEST(slope[i] == -std::trunc(a[i] / b[i]));
  check_tensor(round(Tensor::from({0.5, 1.5, -0.5, -2.5, 2.4, 1e300, kNan}, f64)), {7},
               {0, 2, 0, -2, 2, 1e300, kNan}, 0);
}

BOOST_AUTO_TEST_CASE(what_is_not_finite) {
  for (const Dtype dtype : {f32, f64}) {
    const double largest = row_of(dtype).largest;
    const Tensor x = cast(Tensor::from({1, -largest, 5e-324, 0, kInf, -kInf, kNan}, f64), dtype);
    const auto check = [&](const Tensor& y, const std::vector<double>& expected) {
      BOOST_TEST((y.dtype() == dtype));
      check_tensor(y, {7}, expected, 0);
    };
    check(isfinite(x), {1, 1, 1, 1, 0, 0, 0});
    check(isinf(x), {0, 0, 0, 0, 1, 1, 0});
    check(isnan(x), {0, 0, 0, 0, 0, 0, 1});
    check(map([](auto v) { return isfinite(v) + 2 * isinf(v) + 4 * isnan(v); }, x), {1, 1, 1, 1, 2, 2, 4});
    const double tiny = dtype == f32 ? 0 : 5e-324;
    check(nan_to_num(x), {1, -largest, tiny, 0, largest, -largest, 0});
    check(nan_to_num(x, 0.5, 10), {1, -largest, tiny, 0, 10, -largest, 0.5});
    check(nan_to_num(x, 0.5, 10, -20), {1, -largest, tiny, 0, 10, -20, 0.5});
    check(map([](auto v) { return nan_to_num(v); }, x), {1, -largest, tiny, 0, largest, -largest, 0});
    check(map([](auto v) { return nan_to_num(v, 0.5, 10, -20); }, x), {1, -largest, tiny, 0, 10, -20, 0.5});
    check(derivative([](const Tensor& v) { return nan_to_num(v, 3); }, x), {1, 1, 1, 1, 0, 0, 0});
    check(derivative([](const Tensor& v) { return map([](auto u) { return nan_to_num(u, 3); }, v); }, x),
          {1, 1, 1, 1, 0, 0, 0});
  }
  const Tensor whole = Tensor::from({1, -2}, i64);
  check_tensor(isfinite(whole), {2}, {1, 1});
  check_tensor(isinf(whole), {2}, {0, 0});
  check_tensor(isnan(whole), {2}, {0, 0});
  BOOST_CHECK_EXCEPTION(nan_to_num(whole), DtypeError, mentions("nan_to_num", "i64"));
}

BOOST_AUTO_TEST_CASE(a_constant_on_either_side) {
  const Tensor x = random({3, 4}, f64, 0.5, 3);
#define CHECK(f)                                                                                           \
  {                                                                                                        \
    const Tensor c = Tensor::full({}, 1.25, f64);                                                          \
    check_tensor(f(x, 1.25), {3, 4}, numbers(f(x, c)), 0);                                                 \
    check_tensor(f(1.25, x), {3, 4}, numbers(f(c, x)), 0);                                                 \
    check_tensor(map([](auto v) { return f(v, 1.25); }, x), {3, 4}, numbers(f(x, c)), 1e-15);              \
    check_tensor(map([](auto v) { return f(1.25, v); }, x), {3, 4}, numbers(f(c, x)), 1e-15);              \
    for (const int order : {1, 2}) {                                                                       \
      const auto of = [&](auto g) {                                                                        \
        return numbers(derivative([&](const Tensor& t) { return square(g(t)); }, x, order));               \
      };                                                                                                   \
      check_tensor(                                                                                        \
          derivative([](const Tensor& t) { return square(map([](auto v) { return f(v, 1.25); }, t)); }, x, \
                     order),                                                                               \
          {3, 4}, of([&](const Tensor& t) { return f(t, c); }), 1e-13);                                    \
      check_tensor(                                                                                        \
          derivative([](const Tensor& t) { return square(map([](auto v) { return f(1.25, v); }, t)); }, x, \
                     order),                                                                               \
          {3, 4}, of([&](const Tensor& t) { return f(c, t); }), 1e-13);                                    \
    }                                                                                                      \
  }
  CHECK(atan2)
  CHECK(hypot)
  CHECK(xlogy)
  CHECK(logaddexp)
  CHECK(remainder)
  CHECK(fmod)
  CHECK(maximum)
  CHECK(minimum)
#undef CHECK
}

BOOST_AUTO_TEST_CASE(errors) {
  BOOST_CHECK_EXCEPTION(hypot(Tensor::ones({2}), Tensor::ones({3})), ShapeError,
                        mentions("hypot", "[2]", "[3]"));
  BOOST_CHECK_EXCEPTION(atan2(Tensor::ones({2}), Tensor::ones({2}, f64)), DtypeError,
                        mentions("atan2", "f32", "f64"));
  BOOST_CHECK_EXCEPTION(cbrt(Tensor::ones({2}, i64)), DtypeError, mentions("cbrt", "i64"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace special_test
