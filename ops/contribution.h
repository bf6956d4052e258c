#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>

namespace tapegrad::detail {

/// What a rule on tensors contributes that has made `r` of a gradient g, or of one that broadcasts to it: r, but where g is
/// exactly 0 nothing, even if the derivative there, `slope`, is infinite or NaN. So a branch that was not taken, or an
/// element that was masked or sliced away, contributes nothing.
///
/// Where g is a constant, what is 0 stays so at every order. So it does where the slope is NaN, which the op's result then
/// is, too. Where it is infinite, what comes of a smooth function that passes through is NaN at the next order, and no
/// plausible 0.
TAPEGRAD_API Tensor contribution(const Tensor& g, const Tensor& r, const Tensor& slope);

/// What a rule contributes that has made r of g, and 0 at the cusps of a function by convention: there the derivative for g
/// does not exist and is NaN, so that no smooth function of one that has a cusp, as its square, gets a plausible 0 as its
/// second derivative.
TAPEGRAD_API Tensor undefined_at(const Tensor& cusp, const Tensor& g, const Tensor& r);

/// Whether contribution(g, r, slope) is r itself whatever the slope, which then need not be computed.
TAPEGRAD_API bool contributes_all(const Tensor& g, const Tensor& r) noexcept;

}  // namespace tapegrad::detail
