#pragma once

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
};

/// Compares the derivative of a row along a line with its analytic value, the sum of slopes[k] * move k.
Comparison compare_derivative(Line& line, const Row& row, std::span<const double> slopes, double rtol);

}  // namespace tapegrad::gradcheck::detail
