#pragma once

#include <vector>

#include <tapegrad/gradcheck/check/problem.h>
#include <tapegrad/ops/samples.h>

namespace tapegrad::gradcheck::detail {

/// A function whose rules are to give the derivative of another one: under a tape it is the function itself,
/// so that its rules run; the values without a tape, which are differenced, are those of the other.
class StraightThroughProblem final : public Problem {
 public:
  /// Refers to both. Throws ArgumentError where the results of the two are no tensors of one shape and dtype.
  StraightThroughProblem(const Problem& of, const Samples::Sample::Intended& intended);
  std::vector<Tensor> evaluate(std::span<const Tensor> in) const override;

 private:
  const Problem& of_;
  const Samples::Sample::Intended& intended_;
};

}  // namespace tapegrad::gradcheck::detail
