#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main() {
  // Of functions, without a tape in sight.
  const auto f = [](const Tensor& p) { return log(sum(square(p))); };
  const Tensor p = Tensor::from({1, 1, 1}, f64);
  const Tensor v = Tensor::from({1, 2, 2}, f64) / 3;
  fmt::print("gradient {:.4f}\n", gradient(f, p));
  fmt::print("directional derivative {}\n", jvp(f, p, v).tangent);  // J v, by two backward passes
  fmt::print("Hessian\n{:.4f}\n", hessian(f, p));
  fmt::print("its product with v {:.4f}\n", hvp(f, p, v));  // without the Hessian
  fmt::print("Jacobian of the gradient\n{:.4f}\n",
             jacobian([&](const Tensor& q) { return gradient(f, q); }, p));

  // On a tape: what is recorded can be differentiated again.
  Tape tape;
  const Tensor x = tape.watch(Tensor::from({0.5, 1, 2}, f64));
  const Tensor y = sum(sin(x) * x);
  const Tensor first = tape.grad(y, x, {.record = Record::yes});
  const Tensor second = tape.grad(sum(first), x, {.record = Record::yes});
  const Tensor third = tape.grad(sum(second), x);
  fmt::print("{:.4f}\n{:.4f}\n{:.4f}\n", first, second, third);
}
