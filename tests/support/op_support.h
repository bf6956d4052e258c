#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/random.h>
#include <tapegrad/graph/tape.h>
#include <tapegrad/ops/ops.h>

#include <boost/test/unit_test.hpp>

#include "support.h"

namespace tapegrad::test {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInf = std::numeric_limits<double>::infinity();

/// The elements as double, whatever the dtype.
inline std::vector<double> numbers(const Tensor& t) {
  return visit_dtype(t.dtype(), [&]<class T> {
    std::vector<double> v;
    for (const T x : t.values<T>()) v.push_back(static_cast<double>(x));
    return v;
  });
}

/// Numbers of an independent computation, and what they are as elements.
using Wide = std::vector<long double>;
inline std::vector<double> rounded(const Wide& w) { return {w.begin(), w.end()}; }

/// Uniform values; the same ones for f32 (rounded) as for f64, and whole ones for i64.
inline Tensor random(const Shape& shape, Dtype dtype = f64, double lo = -2, double hi = 2,
                     std::uint64_t seed = 1) {
  Generator g(seed);
  if (dtype == i64)
    return integers(shape, g, static_cast<std::int64_t>(lo), static_cast<std::int64_t>(hi) + 1);
  return uniform(shape, g, lo, hi, dtype);
}

inline bool near(double a, double b, double tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::abs(a - b) <= tolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

/// The tolerance of a result in this dtype; integers are exact.
inline double tolerance_of(Dtype dtype, double of_f32, double of_f64) {
  return dtype == f32 ? of_f32 : dtype == f64 ? of_f64 : 0;
}
/// Of the result of a few operations.
inline double tolerance_of(Dtype dtype) { return tolerance_of(dtype, 2e-6, 1e-13); }
/// Of products of a few dozen terms.
inline double product_tolerance(Dtype dtype) { return tolerance_of(dtype, 2e-5, 1e-13); }

/// Shape and elements; a NaN equals a NaN.
inline void check_tensor(const Tensor& t, const Shape& shape, const std::vector<double>& expected,
                         double tolerance = -1) {
  BOOST_TEST_REQUIRE(to_string(t.shape()) == to_string(shape));
  const std::vector<double> v = numbers(t);
  BOOST_TEST_REQUIRE(v.size() == expected.size());
  if (tolerance < 0) tolerance = tolerance_of(t.dtype());
  for (std::size_t i = 0; i < v.size(); ++i)
    if (!near(v[i], expected[i], tolerance))
      BOOST_ERROR("element " << i << ": " << v[i] << ", not " << expected[i]);
}

/// The index of each element of `out` in an operand that broadcasts to it, found by counting.
inline std::vector<std::size_t> broadcast_index(const Shape& operand, const Shape& out) {
  std::vector<std::size_t> index;
  for (std::int64_t flat = 0; flat < out.size(); ++flat) {
    std::int64_t rest = flat;
    std::int64_t at = 0;
    std::int64_t stride = 1;
    for (std::size_t k = 0; k < out.rank(); ++k) {
      const std::int64_t size = out[out.rank() - 1 - k];
      const std::int64_t i = rest % size;
      rest /= size;
      if (k >= operand.rank()) continue;
      const std::int64_t own = operand[operand.rank() - 1 - k];
      if (own != 1) at += i * stride;
      stride *= own;
    }
    index.push_back(static_cast<std::size_t>(at));
  }
  return index;
}

/// The derivative of sum(f(x) * seed) for x, once, twice, ...; the sum of each is differentiated further.
template <class F>
Tensor derivative(F&& f, const Tensor& x, int order = 1) {
  Tape tape;
  const Tensor leaf = tape.watch(x);
  Tensor y = f(leaf);
  for (int i = 1; i < order; ++i) y = tape.grad(sum(y), leaf, {.record = Record::yes});
  return tape.grad(sum(y), leaf);
}

}  // namespace tapegrad::test
