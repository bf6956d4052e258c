#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// A perceptron fires where w . x + b > 0. One layer gives AND, NAND and OR; XOR takes two.
Tensor perceptron(const Tensor& x, const Tensor& w, double b) { return step(matmul(x, w) + b); }
Tensor and_gate(const Tensor& x) { return perceptron(x, Tensor::from({0.5, 0.5}), -0.7); }
Tensor nand_gate(const Tensor& x) { return perceptron(x, Tensor::from({-0.5, -0.5}), 0.7); }
Tensor or_gate(const Tensor& x) { return perceptron(x, Tensor::from({0.5, 0.5}), -0.2); }
Tensor xor_gate(const Tensor& x) { return and_gate(stack({nand_gate(x), or_gate(x)}, -1)); }

int main() {
  const Tensor x = Tensor::from({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  fmt::print("x, row by row:\n{}\n", x);
  fmt::print("AND  {}\nNAND {}\nOR   {}\nXOR  {}\n", and_gate(x), nand_gate(x), or_gate(x), xor_gate(x));
}
