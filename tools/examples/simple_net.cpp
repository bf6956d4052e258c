#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// One layer of weights, one sample: its loss and gradient numerically and by backpropagation, and ten steps
// down. The notes take the logarithm of each probability plus 1e-7; softmax_with_loss needs no such offset.
int main() {
  const Tensor x = Tensor::from({0.6, 0.9}, f64);
  const Tensor t = Tensor::scalar(2, i64);  // the class; a one-hot vector would do as well
  const Tensor w =
      Tensor::from({{-0.52760346, -0.60826468, 0.14784348}, {-0.53011149, -2.15726367, 0.54289599}}, f64);
  const auto offset_loss = [&](const Tensor& v) { return cross_entropy(softmax(matmul(x, v)), t); };
  const auto exact_loss = [&](const Tensor& v) { return softmax_with_loss(matmul(x, v), t); };

  fmt::print("scores {:.8f}, probabilities {:.8f}\n", matmul(x, w), softmax(matmul(x, w)));
  fmt::print("loss {:.16g} with the offset, {:.16g} without\n", offset_loss(w).item(), exact_loss(w).item());
  fmt::print("numerical gradient\n{:.8f}\nby backpropagation\n{:.8f}\nwithout the offset\n{:.8f}\n",
             numerical_gradient(offset_loss, w), gradient(offset_loss, w), gradient(exact_loss, w));

  const optim::Descent d = optim::gradient_descent(exact_loss, w, {.rate = 1, .steps = 10});
  for (std::size_t k = 0; k < d.values.size(); ++k) fmt::print("step {:2}: loss {:.8f}\n", k, d.values[k]);
  fmt::print("W\n{:.8f}\n", d.x());
}
