#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <tapegrad/graph/callback.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/graph/function.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/ops/scalar/scalar_gradient.h>
#include <tapegrad/optim/descent.h>
#include <tapegrad/optim/parameters.h>

namespace tapegrad::optim {

/// When lbfgs ends, and what a step of it must bring.
struct LbfgsOptions {
  std::int64_t iterations = 1000;  ///< at most
  /// Converged is a gradient none of whose elements is larger.
  double tolerance = 1e-8;
  std::int64_t memory = 10;  ///< of so many iterations; two vectors of the size of x each
  /// What a step must bring: the value falls by at least `decrease` times what the slope promised, and the slope
  /// shrinks to at most `curvature` times what it was (Wolfe's conditions). 0 < decrease < curvature < 1.
  double decrease = 1e-4;
  double curvature = 0.9;
};

/// What lbfgs did.
struct Minimum {
  /// converged; ran (iterations used up); did_not_move (no step lowers the value any more: near a minimum that is what
  /// rounding leaves); diverged (the value falls without bound).
  Outcome outcome = Outcome::ran;
  /// The outcome in words and numbers, and what to do where it is another than converged.
  std::string message;
  double value = 0;              ///< of the function there
  double gradient_norm = 0;      ///< of the gradient's largest element
  std::int64_t iterations = 0;   ///< steps taken
  std::int64_t evaluations = 0;  ///< of the function with its gradient
};
/// Of a function of a tensor.
struct TensorMinimum : Minimum {
  Tensor x;  ///< where it is
};
/// Of a function of scalars.
struct ScalarMinimum : Minimum {
  std::vector<double> x;  ///< where it is
};

/// A minimum of a smooth function of one tensor, by L-BFGS: each step follows the gradient times an estimate of the
/// inverse Hessian, made of the last few steps (Nocedal: Updating quasi-Newton matrices with limited storage,
/// Mathematics of Computation 35, 1980), as far as a line search for the strong Wolfe conditions says (Nocedal, Wright:
/// Numerical Optimization, 2006, algorithms 3.5 and 3.6). Nothing is recorded. The function must be the same each time:
/// no dropout, and all of the data.
///
///     const auto m = optim::lbfgs([&](const Tensor& w) { return loss(w, data); }, start);
///     fmt::print("{}: {}\n", m.message, m.x);
///
/// Throws ArgumentError for options that cannot be, ShapeError for a function of more than one element, DtypeError for
/// integers, NonFinite where value or gradient are not finite at the start; where they are not on the way, the step is
/// shortened.
TAPEGRAD_API TensorMinimum lbfgs(const TensorFunction& f, const Tensor& start,
                                 const LbfgsOptions& options = {});

/// The same for parameters, which are changed in place: `loss` is computed with them and gives one number. Those that
/// are frozen stay. Where it throws they have the values of the last trial; a loss of more than one number throws
/// ShapeError, and where no parameter is to be changed, ArgumentError.
///
///     optim::lbfgs(net, [&] { return mse_loss(net(x), t); });
TAPEGRAD_API Minimum lbfgs(const ParameterList& parameters, const Callback<Tensor()>& loss,
                           const LbfgsOptions& options = {});

namespace detail {
/// The value at x, and its gradient, to `gradient`.
using Evaluate = Callback<double(std::span<const double> x, std::span<double> gradient)>;
/// From x, which it changes.
TAPEGRAD_API Minimum minimise(const Evaluate& f, std::vector<double>& x, const LbfgsOptions& options);
}  // namespace detail

/// The same for a function of scalars (<tapegrad/ops/scalar/real.h>), without a tensor in sight:
///
///     const auto m = optim::lbfgs([](std::span<const Real> p) -> Real { return energy(p); }, {1.0, 2.0});
template <class F>
requires std::convertible_to<std::invoke_result_t<F&, std::span<const Real>>, Real> ScalarMinimum
lbfgs(F&& f, std::vector<double> start, const LbfgsOptions& options = {}) {
  const auto evaluate = [&f](std::span<const double> x, std::span<double> gradient) {
    const ScalarGradient at = value_and_gradient(f, x);
    std::copy(at.gradient.begin(), at.gradient.end(), gradient.begin());
    return at.value;
  };
  const Minimum minimum = detail::minimise(evaluate, start, options);
  return {minimum, std::move(start)};
}

}  // namespace tapegrad::optim
