#include <vector>

#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/gradcheck/check/rounding_noise.h>
#include <tapegrad/ops/elementwise/math.h>

namespace tapegrad::gradcheck::detail {

void RoundingNoise::run(tapegrad::detail::RuleProbe& probe) {
  const std::vector<Tensor> parts = probe.run_apart();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].defined()) continue;
    const Tensor near_one = beside(Tensor::ones(parts[i].shape(), parts[i].dtype()), generator_);
    probe.add(i, mul(parts[i], near_one));
  }
}

}  // namespace tapegrad::gradcheck::detail
