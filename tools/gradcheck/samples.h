#pragma once

#include <string>
#include <vector>

#include <tapegrad/gradcheck/problem.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad::gradcheck::detail {

/// The sample of an op, at elements drawn from its domains. Refers to the sample.
class SampleProblem final : public Problem {
 public:
  SampleProblem(const Samples::Sample& sample, Generator& generator);
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;

 private:
  const Samples::Sample& sample_;
};

/// One input in f64 (or i64).
Input drawn(const SampleInput& from, std::string name, Generator& generator);
/// Its label and the shapes of its inputs.
std::string label_of(const Samples::Sample& sample);

}  // namespace tapegrad::gradcheck::detail
