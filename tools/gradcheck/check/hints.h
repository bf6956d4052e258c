#pragma once

#include <string>
#include <vector>

#include <tapegrad/gradcheck/report.h>

namespace tapegrad::gradcheck {

/// What a simple pattern among the failed comparisons says about the mistake:
///
/// - where it is: "right at first order, wrong at second", "right in f64, wrong in f32", "wrong only in the
///   fused rule"
/// - what it is: "negated", "analytic = 2 x numeric", "analytic = 0", "transposed", "off by one element",
///   "not summed over dimension 0", "averaged instead of summed over dimension 0", "swapped with input 1"
///
/// A pattern is named only where all of Report::failures() that it speaks of fit; mostly none does.
TAPEGRAD_API std::vector<std::string> hints(const Report& report);

}  // namespace tapegrad::gradcheck
