#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main() {
  Tape tape;
  Tensor x = tape.watch(Tensor::from({0.5, 1, 2}, f64));
  Tensor y = sum(sin(x) * x);
  Tensor first = tape.grad(y, x, {.record = Record::yes});
  Tensor second = tape.grad(sum(first), x, {.record = Record::yes});
  Tensor third = tape.grad(sum(second), x);
  fmt::print("{}\n{}\n{}\n", first, second, third);
}
