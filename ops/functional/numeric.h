#pragma once

#include <cstdint>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/tensor.h>

/// Numerical differentiation: derivatives from values alone, of functions that are no graph of operations, or
/// to see what a gradient should be. It costs two values for each number that is moved; where there is a
/// graph, gradient() and its kin in <tapegrad/ops/functional/derivatives.h> are exact and faster. To prove
/// gradients, use the checker.
///
///     double d = central_difference([](double x) { return 0.01 * x * x + 0.1 * x; }, 5);      // 0.2
///     Tensor g = numerical_gradient([](const Tensor& x) { return sum(square(x)); }, x);       // 2 x
///
/// A step h is refused with ArgumentError where it is not positive and finite, or vanishes beside x: where
/// x + h is x, the difference would be zero divided by h, whatever the function. An x that is not finite is
/// refused with NonFinite. The default step is a compromise: a larger one sees more of the function's
/// curvature, and a smaller one more of the rounding of the values.
namespace tapegrad {

/// The default step h.
inline constexpr double kDifferenceStep = 1e-4;

/// (f(x + h) - f(x)) / h. The error is about h f''(x) / 2.
TAPEGRAD_API double forward_difference(const ScalarFunction& f, double x, double h = kDifferenceStep);
/// (f(x + h) - f(x - h)) / 2h. The error is about h^2 f'''(x) / 6.
TAPEGRAD_API double central_difference(const ScalarFunction& f, double x, double h = kDifferenceStep);

/// What numerical_derivative found.
struct NumericalDerivative {
  double value;  ///< the derivative
  double error;  ///< an estimate of |value - f'(x)|
};

/// The derivative from central differences at ten steps, each sqrt(2) times smaller than the one before,
/// extrapolated to step 0 (Ridders: Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering
/// Software 4, 1982). The error is estimated by how far the extrapolations of different orders lie apart, and
/// is never less than what rounding of the values allows; at a kink, where the derivatives on both sides
/// differ, it is half their difference.
///
/// `reach` is the first step, about the scale on which f changes; 0: a tenth of |x|, or of 1 where x is
/// smaller. While f is not finite there, or the error is above 1e-8 of the value and rounding is not to
/// blame, it is made smaller. The next smaller one has to confirm a result, so that an f that is computed in
/// a coarser type than double, or from a table, gets an error of the right size; about 40 values of a smooth
/// f are taken. Throws NonFinite where f is not finite at x or close to it, ArgumentError for a reach that is
/// negative, not finite, or vanishes beside x.
TAPEGRAD_API NumericalDerivative numerical_derivative(const ScalarFunction& f, double x, double reach = 0);

/// The straight line that touches f at x, by the central difference.
struct TangentLine {
  double slope;      ///< the derivative
  double intercept;  ///< its value at 0
  /// The line's value at x.
  double operator()(double x) const { return slope * x + intercept; }
};
/// The line at x. Throws as central_difference.
TAPEGRAD_API TangentLine tangent_line(const ScalarFunction& f, double x, double h = kDifferenceStep);

/// The central difference for one element of x, by its position in row-major order. f has one element
/// (ShapeError otherwise); x is f64, or f32, where results are coarse. f receives copies of x, and nothing is
/// recorded. Throws DtypeError for integers, ArgumentError for an element outside, and for a step that
/// vanishes beside it in x's dtype.
TAPEGRAD_API double numerical_partial(const TensorFunction& f, const Tensor& x, std::int64_t element,
                                      double h = kDifferenceStep);
/// The same for all elements: of the shape and dtype of x. `numerical_gradient` in Saito: Deep Learning from
/// Scratch, 2016, chapter 4.
TAPEGRAD_API Tensor numerical_gradient(const TensorFunction& f, const Tensor& x, double h = kDifferenceStep);
/// Of several inputs; integers are passed on to f, and their gradient is an undefined tensor.
TAPEGRAD_API std::vector<Tensor> numerical_gradient(const TensorFunction& f,
                                                    const std::vector<Tensor>& inputs,
                                                    double h = kDifferenceStep);

}  // namespace tapegrad
