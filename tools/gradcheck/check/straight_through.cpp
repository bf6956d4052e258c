#include <algorithm>

#include <tapegrad/gradcheck/check/straight_through.h>

#include <fmt/format.h>

namespace tapegrad::gradcheck::detail {

StraightThroughProblem::StraightThroughProblem(const Problem& of, const Samples::Sample::Intended& intended)
    : Problem(of.inputs()), of_(of), intended_(intended) {
  const Pause pause;
  const Tensor result = of.evaluate(of.values())[0], other = intended(of.values());
  if (!other.defined() || other.shape() != result.shape() || other.dtype() != result.dtype())
    throw ArgumentError(fmt::format(
        "gradcheck: straight through: the result is {} of {}, that of the intended function {}",
        to_string(result.shape()), name_of(result.dtype()),
        other.defined() ? fmt::format("{} of {}", to_string(other.shape()), name_of(other.dtype()))
                        : "an undefined tensor"));
}

std::vector<Tensor> StraightThroughProblem::evaluate(std::span<const Tensor> in) const {
  if (std::ranges::any_of(in, [](const Tensor& t) { return t.tracked(); })) return of_.evaluate(in);
  return {intended_(in)};
}

}  // namespace tapegrad::gradcheck::detail
