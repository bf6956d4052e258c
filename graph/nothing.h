#pragma once

#include <tapegrad/graph/export.h>

namespace tapegrad::detail {

/// The gradient of what a result does not depend on. The results of where, slices and their like do not depend on some
/// elements, and must not at any order of derivative, whatever is infinite or NaN there. A gradient that merely
/// happens to be 0, as that of a square at 0, is another thing: an infinite derivative behind it may still make a
/// second derivative of any value.
///
/// The two are told apart by the sign of the zero. -0 is the neutral element of addition (-0 + x = x for every x): it
/// says that nothing was contributed. Every other 0 of a gradient is +0.
inline constexpr double kNothing = -0.0;

}  // namespace tapegrad::detail
