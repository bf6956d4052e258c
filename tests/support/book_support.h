#pragma once

#include <cmath>
#include <initializer_list>
#include <vector>

#include <fmt/format.h>

#include "op_support.h"

namespace tapegrad::test {

inline Tensor f64s(std::initializer_list<double> v) { return Tensor::from(v, f64); }
inline Tensor f64s(std::initializer_list<std::initializer_list<double>> rows) {
  return Tensor::from(rows, f64);
}

/// Printed numbers: each differs by no more than `within`, by default what printing eight digits after the
/// point rounds away.
inline void check_printed(const Tensor& t, const std::vector<double>& printed, double within = 5.01e-9) {
  const std::vector<double> v = numbers(t);
  BOOST_TEST_REQUIRE(v.size() == printed.size());
  for (std::size_t i = 0; i < v.size(); ++i)
    if (!(std::abs(v[i] - printed[i]) <= within))
      BOOST_ERROR(fmt::format("element {}: {}, printed {}", i, v[i], printed[i]));
}
inline void check_printed(double value, double printed, double within) {
  check_printed(Tensor::scalar(value, f64), {printed}, within);
}

}  // namespace tapegrad::test
