// The formula as a loop by hand, with functions as exact as the library's: what is left to gain without losing digits.
#include "limit_kernels.h"
#include "limit_target.h"

#include <tapegrad/ops/numbers/vector_math.h>

namespace tapegrad::bench::limit {
namespace body {

using Index = std::int64_t;
namespace vm = tapegrad::detail::vm;

BODY float formula_exact(const float* RESTRICT x, float a, float b, Index count) {
  constexpr Index kBlock = 1024,
                  kLanes = 64;  // the order of sums that vectors need, which -ffast-math finds by itself
  double total = 0;
  for (Index from = 0; from < count; from += kBlock) {
    const Index to = count - from < kBlock ? count : from + kBlock;
    float lanes[kLanes] = {};
    const Index whole = from + (to - from) / kLanes * kLanes;
    for (Index i = from; i < whole; i += kLanes)
      for (Index k = 0; k < kLanes; ++k)
        lanes[k] += vm::sigmoid(a * x[i + k] + b) * vm::tanh(x[i + k]) + (x[i + k] > 0 ? x[i + k] : 0);
    float sum = 0;
    for (Index i = whole; i < to; ++i)
      sum += vm::sigmoid(a * x[i] + b) * vm::tanh(x[i]) + (x[i] > 0 ? x[i] : 0);
    for (const float lane : lanes) sum += lane;
    total += sum;
  }
  return static_cast<float>(total);
}

BODY void formula_exact_gradient(const float* RESTRICT x, float a, float b, float* RESTRICT dx, Index count) {
  for (Index i = 0; i < count; ++i) {
    const vm::WithComplement<float> s = vm::sigmoid_and_complement(a * x[i] + b);
    const vm::WithComplement<float> t = vm::tanh_and_complement(x[i]);
    const float y = vm::with_sign_of(t.y, x[i]);
    dx[i] = s.y * (a * s.complement * y + t.complement * (1 + t.y)) + (x[i] > 0 ? 1.0F : 0.0F);
  }
}

}  // namespace body

KERNEL(float, formula_exact, (const float* x, float a, float b, std::int64_t count), (x, a, b, count))
KERNEL(void, formula_exact_gradient, (const float* x, float a, float b, float* dx, std::int64_t count),
       (x, a, b, dx, count))

}  // namespace tapegrad::bench::limit
