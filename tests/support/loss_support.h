#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <vector>

#include "op_support.h"

/// What losses are compared with, in long double.
namespace tapegrad::test {

using Numbers = std::vector<double>;

inline Wide softmax_of(const Numbers& x) {
  const long double largest = *std::max_element(x.begin(), x.end());
  Wide y;
  for (const double v : x) y.push_back(std::exp(v - largest));
  const long double total = std::accumulate(y.begin(), y.end(), 0.0L);
  for (long double& v : y) v /= total;
  return y;
}

inline Wide log_softmax_of(const Numbers& x) {
  const long double largest = *std::max_element(x.begin(), x.end());
  long double total = 0;
  for (const double v : x) total += std::exp(v - largest);
  Wide y;
  for (const double v : x) y.push_back((v - largest) - std::log(total));
  return y;
}

/// The flat indices of each row of x along an axis.
inline std::vector<std::vector<std::size_t>> rows_along(const Shape& shape, std::size_t axis) {
  std::int64_t inner = 1;
  for (std::size_t i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  std::vector<std::vector<std::size_t>> rows;
  if (shape.size() == 0) return rows;
  for (std::int64_t o = 0; o < shape.size() / (shape[axis] * inner); ++o)
    for (std::int64_t i = 0; i < inner; ++i) {
      rows.emplace_back();
      for (std::int64_t j = 0; j < shape[axis]; ++j)
        rows.back().push_back(static_cast<std::size_t>((o * shape[axis] + j) * inner + i));
    }
  return rows;
}

inline Numbers picked(const Numbers& x, const std::vector<std::size_t>& at) {
  Numbers row;
  for (const std::size_t i : at) row.push_back(x[i]);
  return row;
}

}  // namespace tapegrad::test
