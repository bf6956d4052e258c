#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// The line y = a x + b through eleven points, by gradient descent on the mean squared error, by one step of
// Newton's method, and in closed form.
int main() {
  const Tensor x = Tensor::from({3, 4, 6, 5, 1, 4, 3, 4, 3.5, 4.5, 2.5}, f64);
  const Tensor y = Tensor::from({1, 2, 3, 2.5, 1, 2, 2, 2, 1.5, 3, 1.3}, f64);
  const auto loss = [&](const Tensor& p) { return mse_loss(select(p, 0, 0) * x + select(p, 0, 1), y); };
  const Tensor start = Tensor::zeros({2}, f64);

  const optim::Descent d = optim::gradient_descent(loss, start, {.rate = 0.05, .steps = 3000});
  fmt::print("gradient descent [a, b] = {:.12f}\n  {}\n", d.x(), d.message);

  // The loss is quadratic, so Newton's step p - H^-1 g lands on the minimum.
  const Tensor g = gradient(loss, start);
  const std::vector<double> h = hessian(loss, start).to_vector<double>();
  const Tensor inverse = Tensor::from({{h[3], -h[1]}, {-h[2], h[0]}}, f64) / (h[0] * h[3] - h[1] * h[2]);
  fmt::print("Newton's step    [a, b] = {:.12f}\n", start - matmul(inverse, g));

  const Tensor dx = x - mean(x);
  const Tensor a = sum(dx * y) / sum(square(dx));
  fmt::print("closed form      [a, b] = {:.12f}\n", stack({a, mean(y) - a * mean(x)}));
}
