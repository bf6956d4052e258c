#pragma once

#include <vector>

#include "op_support.h"

/// Matrix products beside sums in long double.
namespace tapegrad::test {

using Wide = std::vector<long double>;

inline std::vector<double> rounded(const Wide& w) { return {w.begin(), w.end()}; }

/// Of products of a few dozen terms.
inline double product_tolerance(Dtype dtype) { return tolerance_of(dtype, 2e-5, 1e-13); }

}  // namespace tapegrad::test
