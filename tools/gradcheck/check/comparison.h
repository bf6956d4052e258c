#pragma once

#include <functional>
#include <span>

#include <tapegrad/gradcheck/check/numeric.h>

namespace tapegrad::gradcheck::detail {

/// The verdict on one derivative, with the numbers of the window of steps that decided.
struct Comparison {
  Verdict verdict = Verdict::inconclusive;
  double analytic = 0;
  double numeric = 0;
  double uncertainty = 0;
  double step = 0;
  bool kinked = false;  ///< the one-sided derivatives differ, and decided
};

/// An analytic derivative along a line.
struct Claim {
  std::span<const double> slopes;  ///< the analytic change is the sum of slopes[k] * move k
  /// How far rounding takes that sum for these moves, by what the gradient was computed from; asked only
  /// where the derivative does not agree.
  std::function<double(std::span<const double> moves)> rounding;
  /// How far rounding takes the row's number itself; asked only where its differences are too rough to tell
  /// anything.
  std::function<double()> value_rounding;
  double rtol;           ///< certifies
  double strict;         ///< convicts, and certifies where the differences are that certain; not above rtol
  double step;           ///< what the derivative is to be multiplied by to compare it with `largest`
  double largest;        ///< of the row's number and of its changes by the steps of single elements
  double most_rounding;  ///< more than that is no rounding of a gradient, times `step`
};

/// Compares the derivative of a row along a line with an analytic one.
Comparison compare_derivative(Line& line, const Row& row, const Claim& claim);

}  // namespace tapegrad::gradcheck::detail
