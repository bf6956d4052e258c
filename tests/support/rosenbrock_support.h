#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <tapegrad/ops/ops.h>
#include <tapegrad/ops/scalar/real.h>

namespace tapegrad::test {

/// The sum of 100 (p[i + 1] - p[i]^2)^2 + (1 - p[i])^2, a curved valley with its minimum at ones: of scalars, and of
/// the elements of a tensor. Rosenbrock, The Computer Journal 3, 1960.
constexpr auto rosenbrock = []<class R>(std::span<const R> p) {
  R sum = 0;
  for (std::size_t i = 0; i + 1 < p.size(); ++i)
    sum += 100 * square(p[i + 1] - p[i] * p[i]) + square(1 - p[i]);
  return sum;
};
inline Tensor rosenbrock_of_tensors(const Tensor& p) {
  const std::int64_t n = p.size();
  const Tensor a = slice(p, 0, 0, n - 1), b = slice(p, 0, 1, n);
  return sum(100 * square(b - a * a) + square(1 - a));
}

}  // namespace tapegrad::test
