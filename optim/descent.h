#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::optim {

/// How gradient_descent goes about it.
struct DescentOptions {
  double rate = 0.1;         ///< what a gradient is multiplied by
  std::int64_t steps = 100;  ///< how many are taken
  /// Uphill, to a maximum.
  bool ascend = false;
  /// Steps of the length `rate`, whatever the gradient's. They do not shorten near an extremum, and so end
  /// about a step away from it.
  bool normalize = false;
  /// Converged is a gradient of at most this part of its norm at the start.
  double tolerance = 1e-6;
};

/// How a descent ended.
enum class Outcome : std::uint8_t {
  converged,  ///< the gradient has all but vanished
  ran,        ///< on the way: all steps taken, the gradient is still there
  diverged,   ///< the value got worse and the gradient larger, or either is not finite: the rate is too high
  did_not_move,  ///< neither x nor the gradient have changed to speak of: the rate is too low
};
/// "converged", "ran", "diverged", "did not move".
TAPEGRAD_API std::string_view name_of(Outcome outcome) noexcept;

/// What gradient_descent did.
struct Descent {
  Outcome outcome;  ///< how it ended
  /// The outcome in words and numbers, and what to do where it is another than converged.
  std::string message;
  /// The start and the point after each step, with the values and the gradient's norms there. All of them are
  /// finite: a step to where they are not is left out.
  std::vector<Tensor> path;
  std::vector<double> values;
  std::vector<double> gradient_norms;

  /// Where it ended.
  const Tensor& x() const { return path.back(); }
};

/// Follows the gradient of a function of one tensor, by backpropagation: x -= rate * gradient, or x += for a
/// maximum. All steps are taken, unless the gradient is zero or not finite. Nothing is recorded.
///
///     Descent d = gradient_descent([](const Tensor& x) { return sum(square(x)); }, start, {.rate = 0.1});
///
/// Throws ArgumentError for a rate that is not positive and finite, a negative tolerance, fewer than one
/// step; ShapeError for a function of more than one element, DtypeError for integers, NonFinite where value
/// or gradient are not finite at the start.
TAPEGRAD_API Descent gradient_descent(const TensorFunction& f, const Tensor& start,
                                      const DescentOptions& options = {});

}  // namespace tapegrad::optim
