#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// Derivatives of functions without a tape in sight: directional derivatives, Jacobians, Hessians and their
// products.
int main() {
  // The slope of 5 - x^2 - 2 y^2 in some direction: J v, or the gradient dotted with v.
  const auto hill = [](const Tensor& p) { return 5 - sum(square(p) * Tensor::from({1, 2}, f64)); };
  const Tensor at = Tensor::from({1.5, -1}, f64);
  const Tensor g = gradient(hill, at);
  const Tensor steepest = g / sqrt(sum(square(g)));
  fmt::print("gradient {}, steepest slope {} = {}\n", g, jvp(hill, at, steepest).tangent, dot(g, steepest));

  const auto f = [](const Tensor& p) { return log(sum(square(p))); };
  const Tensor from = Tensor::from({1, 1, 1}, f64);
  const Tensor way = Tensor::from({2, 3, 3}, f64) - from;
  const Tensor unit = way / sqrt(sum(square(way)));
  fmt::print("ln(x^2 + y^2 + z^2) at (1, 1, 1) towards (2, 3, 3): {} = {}\n",
             jvp(f, from, unit).tangent.item(), dot(gradient(f, from), unit).item());
  fmt::print("Hessian\n{:.6f}\nits product with that direction {:.6f} = {:.6f}\n", hessian(f, from),
             hvp(f, from, unit), matmul(hessian(f, from), unit));

  // Several results: rows of the Jacobian by vjp, columns by jvp.
  const auto polar = [](const Tensor& p) {
    const Tensor r = select(p, 0, 0), angle = select(p, 0, 1);
    return stack({r * cos(angle), r * sin(angle)});
  };
  const Tensor point = Tensor::from({2, 0.5}, f64);
  fmt::print("Jacobian\n{:.6f}\nits first row {:.6f}, its first column {:.6f}\n", jacobian(polar, point),
             vjp(polar, point, Tensor::from({1, 0}, f64)).gradient,
             jvp(polar, point, Tensor::from({1, 0}, f64)).tangent);

  // They nest, and record on a tape: a network whose slope is to be 1 everywhere.
  Generator rng(0);
  nn::Sequential net{nn::Affine(1, 20, rng), nn::Tanh(), nn::Affine(20, 1, rng)};
  optim::Adam adam(net.parameters(), 0.01);
  const Tensor x = reshape(Tensor::arange(-1, 1, 0.1), {-1, 1});
  for (int step = 0; step <= 300; ++step) {
    Tape tape;
    const Tensor slopes = jvp(net, x, Tensor::ones(x.shape())).tangent;
    const Tensor loss = mean(square(slopes - 1));
    if (step % 100 == 0) fmt::print("step {}: mean squared error of the slope {:.6f}\n", step, loss.item());
    adam.step(tape.backward(loss));
  }
}
