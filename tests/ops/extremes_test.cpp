// The largest and smallest elements and where they are, along every kind of axes, beside a search by definition.

#include <vector>

#include <tapegrad/ops/threads.h>

#include "op_support.h"

namespace extremes_test {

using namespace tapegrad;
using namespace tapegrad::test;

namespace {

/// Few different numbers, so that there are ties, and NaN here and there.
Tensor tied(const Shape& shape, Dtype dtype) {
  Tensor x = random(shape, dtype, -3, 3);
  if (!is_floating(dtype)) return x;
  x = cast(cast(x * 2, i64), dtype);
  visit_floating(dtype, [&]<class T> {
    const std::span<T> v = x.mutable_values<T>();
    for (std::size_t i = 0; i < v.size(); i += 97) v[i] = static_cast<T>(kNan);
  });
  return x;
}

struct Found {
  std::vector<double> greatest, least, greatest_at, least_at;
};

/// x as [outer, n, inner], searched along n: the first that none exceeds, or the first NaN.
Found search(const Tensor& x, std::int64_t outer, std::int64_t n, std::int64_t inner) {
  const std::vector<double> v = numbers(x);
  Found found;
  const auto first = [&](std::int64_t o, std::int64_t i, double sign) {
    const auto at = [&](std::int64_t j) {
      return sign * v[static_cast<std::size_t>((o * n + j) * inner + i)];
    };
    std::int64_t best = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      if (std::isnan(at(j))) return j;
      if (at(j) > at(best)) best = j;
    }
    return best;
  };
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < inner; ++i)
      for (const double sign : {1., -1.}) {
        const std::int64_t j = first(o, i, sign);
        (sign > 0 ? found.greatest : found.least)
            .push_back(v[static_cast<std::size_t>((o * n + j) * inner + i)]);
        (sign > 0 ? found.greatest_at : found.least_at).push_back(static_cast<double>(j));
      }
  return found;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(extremes)

BOOST_AUTO_TEST_CASE(extremes_are_found_along_every_axis) {
  // Runs and columns below and beyond a vector, a block of a reduction and a block of columns.
  const std::vector<Shape> shapes{{1, 1, 1},    {2, 3, 4},    {3, 10, 10},  {5, 4, 17},
                                  {2, 17, 63},  {1, 65, 300}, {3, 2, 1100}, {300, 1, 3},
                                  {1, 2000, 5}, {40, 50, 30}, {1, 1, 2500}, {129, 3, 259}};
  for (const int threads : {1, 3})
    for (const Dtype dtype : {f32, f64, i64})
      for (const Shape& shape : shapes) {
        set_threads(threads);
        const Tensor x = tied(shape, dtype);
        const std::int64_t a = shape[0], b = shape[1], c = shape[2];
        const auto check = [&](const Axes& axes, const Shape& result, const Found& expected) {
          check_tensor(max(x, axes), result, expected.greatest);
          check_tensor(min(x, axes), result, expected.least);
          check_tensor(argmax(x, axes), result, expected.greatest_at);
          check_tensor(argmin(x, axes), result, expected.least_at);
        };
        check(0, {b, c}, search(x, 1, a, b * c));
        check(1, {a, c}, search(x, a, b, c));
        check(2, {a, b}, search(x, a * b, c, 1));
        check({0, 1}, {c}, search(x, 1, a * b, c));
        check({1, 2}, {a}, search(x, a, b * c, 1));
        check(Axes::all(), {}, search(x, 1, x.size(), 1));
        // The first and the last axis: positions count along both.
        const Tensor outside = permute(x, {1, 0, 2});
        const Found expected = search(outside, b, a * c, 1);
        check({0, 2}, {b}, expected);
      }
  set_threads(1);
}

BOOST_AUTO_TEST_CASE(infinities_are_numbers) {
  const Tensor x = Tensor::from({{-kInf, -kInf, kInf}, {-kInf, kNan, kInf}}, f64);
  check_tensor(max(x, 0), {3}, {-kInf, kNan, kInf});
  check_tensor(argmax(x, 0), {3}, {0, 1, 0});
  check_tensor(argmin(x, 1), {2}, {0, 1});
  constexpr double kLowest = -9223372036854775808.0;
  const Tensor whole = Tensor::from({{kLowest, 5}, {kLowest, -5}}, i64);
  check_tensor(max(whole, 0), {2}, {kLowest, 5});
  check_tensor(argmax(whole, 0), {2}, {0, 0});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace extremes_test
