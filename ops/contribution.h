#pragma once

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/nothing.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/axes.h>

/// What a rule contributes to a gradient, and what contributes nothing: <tapegrad/graph/nothing.h> says how the zeros
/// of gradients differ. Of a product or a negation a 0 has either sign: a gradient that is handed to what follows is
/// the incoming one, or comes of contribution().
namespace tapegrad::detail {

/// 1 where an element of a floating tensor is kNothing, else 0. Not recorded.
TAPEGRAD_API Tensor is_nothing(const Tensor& x);

/// Whether a gradient has elements that contribute nothing at any order: of a constant, all zeros do.
TAPEGRAD_API bool has_nothing(const Tensor& g);

/// What a rule on tensors contributes that has made `r` of a gradient g, or of one that broadcasts to it: r, but where
/// g is exactly 0 that 0, even if the derivative there is infinite or NaN.
///
/// At the next order nothing stays nothing, and so does a 0 of a constant g. Of any other 0 that meets an infinite or
/// NaN derivative the derivative is NaN: what comes of a smooth function that passes through is never a plausible 0.
TAPEGRAD_API Tensor contribution(const Tensor& g, const Tensor& r);

/// The same where the derivative is the number c. One that is infinite or NaN is no singular point that a result may
/// leave aside, but is in all elements: it shows.
TAPEGRAD_API Tensor contribution_of_constant(const Tensor& g, const Tensor& r, double c);

/// What a rule contributes whose derivative is `slope`: contribution(g, g * slope), and nothing where the slope is
/// nothing, or a 0 of a constant.
TAPEGRAD_API Tensor contribution_by(const Tensor& g, const Tensor& slope);

/// The same as contribution where the elements of g along some axes have made r together: nothing, where all of them
/// are.
TAPEGRAD_API Tensor contribution_along(const Tensor& g, const Axes& axes, const Tensor& r);

/// NaN, and so are its derivatives of any order; of nothing, nothing: what comes of a derivative that does not exist.
TAPEGRAD_API Tensor undefined(const Tensor& x);
/// The same where the mask is not 0; else x.
TAPEGRAD_API Tensor undefined_where(const Tensor& x, const Tensor& mask);

/// 0, with a derivative that is NaN, for a z that is 0: for points where a function has none. Of nothing, nothing.
TAPEGRAD_API Tensor zero_without_slope(const Tensor& z);

/// What a rule contributes that has made r of g, and 0 at the cusps of a function by convention: there the derivative
/// for g does not exist and is NaN, so that no smooth function of one that has a cusp, as its square, gets a plausible
/// 0 as its second derivative.
TAPEGRAD_API Tensor undefined_at(const Tensor& cusp, const Tensor& g, const Tensor& r);

}  // namespace tapegrad::detail
