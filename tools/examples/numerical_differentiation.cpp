#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// Derivatives from values alone, of any function of numbers: 0.01 x^2 + 0.1 x, whose derivative is 0.02 x +
// 0.1.
int main() {
  const auto f = [](double x) { return 0.01 * (x * x) + 0.1 * x; };
  for (const double x : {5.0, 10.0}) {
    const NumericalDerivative adaptive = numerical_derivative(f, x);
    fmt::print("at {}: forward {:.16g}, central {:.16g}, adaptive {:.16g} +- {:.1e}\n", x,
               forward_difference(f, x), central_difference(f, x), adaptive.value, adaptive.error);
  }
  const TangentLine tangent = tangent_line(f, 5);
  fmt::print("tangent at 5: y = {:.4f} x {:+.4f}\n", tangent.slope, tangent.intercept);
  for (const double x : {0.0, 5.0, 10.0, 15.0, 20.0})
    fmt::print("  x = {:4}: f = {:.3f}, tangent {:.3f}\n", x, f(x), tangent(x));
  try {
    central_difference(f, 5, 1e-50);
  } catch (const ArgumentError& e) {
    fmt::print("{}\n", e.what());
  }

  // Functions of tensors: partial derivatives, and all of them.
  const auto bowl = [](const Tensor& x) { return sum(square(x)); };
  const Tensor at = Tensor::from({3, 4}, f64);
  fmt::print("x0^2 + x1^2 at (3, 4): partial derivatives {:.15g} and {:.15g}\n",
             numerical_partial(bowl, at, 0), numerical_partial(bowl, at, 1));
  for (const Tensor& x : {at, Tensor::from({0, 2}, f64), Tensor::from({3, 0}, f64)})
    fmt::print("  at {}: numerical gradient {:.6f}, exact {}\n", x, numerical_gradient(bowl, x),
               gradient(bowl, x));
}
