#pragma once

#include <initializer_list>
#include <vector>

#include <tapegrad/ops/functional/derivatives.h>

#include "op_support.h"

namespace tapegrad::test {

inline Tensor vec(std::initializer_list<double> v) { return Tensor::from(v, f64); }

inline void check(const Tensor& t, const Shape& shape, const std::vector<double>& expected) {
  check_tensor(t, shape, expected, 1e-12);
}
inline void check_same(const Tensor& a, const Tensor& b, double tolerance = 1e-12) {
  check_tensor(a, b.shape(), numbers(b), tolerance);
}

}  // namespace tapegrad::test
