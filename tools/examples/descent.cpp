#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// Gradient descent on x0^2 + x1^2 from (-3, 4), with rates that are right, too high and too low; normalised
// steps; and the way up a hill.
int main() {
  const auto bowl = [](const Tensor& x) { return sum(square(x)); };
  const Tensor start = Tensor::from({-3, 4}, f64);
  for (const double rate : {0.1, 10.0, 1e-10}) {
    const optim::Descent d = optim::gradient_descent(bowl, start, {.rate = rate, .steps = 100});
    fmt::print("rate {}: {:.8e}\n  {}\n", rate, d.x(), d.message);
  }

  const optim::Descent d = optim::gradient_descent(bowl, start, {.rate = 0.1, .steps = 5});
  for (std::size_t k = 0; k < d.path.size(); ++k)
    fmt::print("step {}: x = {:.5f}, value {:.5f}, gradient's norm {:.5f}\n", k, d.path[k], d.values[k],
               d.gradient_norms[k]);
  const optim::Descent even =
      optim::gradient_descent(bowl, start, {.rate = 0.5, .steps = 5, .normalize = true});
  fmt::print("five steps of length 0.5 lead to {:.5f}\n", even.x());

  const auto hill = [](const Tensor& p) { return 5 - sum(square(p) * Tensor::from({1, 2}, f64)); };
  const optim::Descent up = optim::gradient_descent(hill, Tensor::from({1.5, -1}, f64), {.ascend = true});
  fmt::print("the hill's top is {:.6f} high, at {:.1e}\n  {}\n", up.values.back(), up.x(), up.message);
}
