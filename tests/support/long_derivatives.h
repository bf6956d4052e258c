#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <tapegrad/ops/map.h>

#include <fmt/format.h>

#include "op_support.h"

/// Values and first and second derivatives against formulas in long double, over all magnitudes that a dtype has.
namespace tapegrad::test {

using Long = long double;

/// Numbers of every magnitude that the dtype has, subnormal ones too, with both signs where `negative`.
inline std::vector<double> magnitudes(Dtype dtype, bool negative) {
  const int lowest = dtype == f32 ? -149 : -1074;
  const int highest = dtype == f32 ? 127 : 1020;
  std::vector<double> all;
  for (int e = lowest; e <= highest; e += dtype == f32 ? 6 : 37)
    for (const double m : {1.0, 1.37, 1.71}) {
      const double x = std::ldexp(m, e);
      const double rounded = dtype == f32 ? static_cast<double>(static_cast<float>(x)) : x;
      all.push_back(rounded);
      if (negative) all.push_back(-rounded);
    }
  for (const double x : {0.5, 1.0, 3.0, 10.0, 25.0, 80.0}) {
    all.push_back(x);
    if (negative) all.push_back(-x);
  }
  return all;
}

/// How far a result may be from the true one: some units of its last place.
inline bool close(Dtype dtype, double actual, Long expected, double ulps) {
  if (std::isnan(expected) || std::isnan(actual)) return std::isnan(expected) && std::isnan(actual);
  const Long largest = static_cast<Long>(row_of(dtype).largest);
  if (std::isinf(actual) || std::isinf(expected) || std::abs(expected) > largest * (1 - 1e-5L))
    return std::abs(expected) > largest * (1 - 1e-5L) &&
           std::abs(static_cast<Long>(actual)) > largest * (1 - 1e-5L) &&
           std::signbit(actual) == std::signbit(expected);
  const Long smallest = std::ldexp(Long{1}, dtype == f32 ? -149 : -1074);
  return std::abs(static_cast<Long>(actual) - expected) <=
         static_cast<Long>(ulps * epsilon_of(dtype)) * std::abs(expected) + 2 * smallest;
}

/// The value and its derivatives at one point, in a number with more digits and a larger range.
struct Expected {
  Long value;
  std::vector<Long> first;   // for each input
  std::vector<Long> second;  // row by row
};

/// Values, gradients and second derivatives of f at points, by op and inside `map`, all elements at once: the
/// gradient of the sum of one gradient has no terms between elements.
template <std::size_t N, class Op, class Mapped>
void check_derivatives(const char* name, Dtype dtype, const std::vector<std::array<double, N>>& points, Op op,
                       Mapped mapped, const std::function<Expected(const std::array<Long, N>&)>& expected,
                       std::array<double, 3> ulps) {
  const auto n = static_cast<std::int64_t>(points.size());
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < N; ++i) {
    std::vector<double> column;
    for (const auto& p : points) column.push_back(p[i]);
    inputs.push_back(cast(Tensor::from(column), dtype));
  }
  const auto check = [&](const char* how, const auto& f) {
    Tape tape;
    std::vector<Tensor> x;
    for (const Tensor& t : inputs) x.push_back(tape.watch(t));
    const Tensor y = [&]<std::size_t... I>(std::index_sequence<I...>) { return f(x[I]...); }
    (std::make_index_sequence<N>{});
    const Tensor ones = Tensor::ones({n}, dtype);
    const std::vector<Tensor> by_loops = tape.grad(y, x, {.cotangent = ones});
    const std::vector<Tensor> recorded = tape.grad(y, x, {.cotangent = ones, .record = Record::yes});
    std::vector<std::vector<Tensor>> second;
    for (const Tensor& g : recorded) second.push_back(tape.grad(g, x, {.cotangent = ones}));
    const auto all_numbers = [](const std::vector<Tensor>& tensors) {
      std::vector<std::vector<double>> all;
      for (const Tensor& t : tensors) all.push_back(numbers(t));
      return all;
    };
    const std::vector<double> values = numbers(y);
    const auto loops = all_numbers(by_loops), rules = all_numbers(recorded);
    std::vector<std::vector<std::vector<double>>> curvatures;
    for (const std::vector<Tensor>& row : second) curvatures.push_back(all_numbers(row));
    int failures = 0;
    for (std::size_t k = 0; k < points.size() && failures < 5; ++k) {
      std::array<Long, N> at;
      for (std::size_t i = 0; i < N; ++i) at[i] = static_cast<Long>(points[k][i]);
      const Expected e = expected(at);
      const auto compare = [&](const char* what, double have, Long want, double limit) {
        if (close(dtype, have, want, limit)) return;
        ++failures;
        std::string place;
        for (const double v : points[k]) place += fmt::format(" {:.17g}", v);
        BOOST_ERROR(name << " " << how << " of " << name_of(dtype) << " at" << place << ": " << what << " "
                         << have << ", not " << static_cast<double>(want));
      };
      compare("value", values[k], e.value, ulps[0]);
      for (std::size_t i = 0; i < N; ++i) {
        compare("gradient", loops[i][k], e.first[i], ulps[1]);
        compare("recorded gradient", rules[i][k], e.first[i], ulps[1]);
        for (std::size_t j = 0; j < N; ++j)
          compare("second derivative", curvatures[i][j][k], e.second[i * N + j], ulps[2]);
      }
    }
  };
  check("as an op", op);
  check("in map", [&](const auto&... x) { return map(mapped, x...); });
}

inline std::vector<std::array<double, 1>> line(const std::vector<double>& x) {
  std::vector<std::array<double, 1>> points;
  for (const double v : x) points.push_back({v});
  return points;
}
/// All pairs but those whose quotient is subnormal and so has lost digits that a second division would show.
inline std::vector<std::array<double, 2>> plane(Dtype dtype, const std::vector<double>& a,
                                                const std::vector<double>& b) {
  const double smallest = dtype == f32 ? static_cast<double>(std::numeric_limits<float>::min())
                                       : std::numeric_limits<double>::min();
  std::vector<std::array<double, 2>> points;
  for (const double v : a)
    for (const double w : b)
      if (std::min(std::abs(v / w), std::abs(w / v)) >= smallest || v == 0 || w == 0)
        points.push_back({v, w});
  return points;
}

}  // namespace tapegrad::test
