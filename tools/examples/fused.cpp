#include <tapegrad/ops/map_sum.h>
#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main() {
  const double steepness = 4;  // a constant that the function captures
  const auto gate = [=](auto x, auto limit) {
    return where(x < limit, x, limit + tanh(x - limit)) * sigmoid(steepness * x);
  };
  Generator rng(0);
  const Tensor values = randn({1000, 100}, rng);
  const Parameter limit(Tensor::full({100}, 0.5));

  Tape tape;
  const Tensor x = tape.watch(values);
  const Tensor y = map(gate, x, limit);        // one node, one loop; the limits are broadcast to x's rows
  const Tensor same = gate(x, Tensor(limit));  // the same function on tensors: a node for each operation
  const std::vector<Tensor> fused = tape.grad(sum(y), {x, limit});
  const std::vector<Tensor> plain = tape.grad(sum(same), {x, limit});
  fmt::print("largest difference of the gradients: {:.1e} and {:.1e}\n", max(abs(fused[0] - plain[0])).item(),
             max(abs(fused[1] - plain[1])).item());

  // With the mean of its results, over all axes or some, which are then never in memory.
  const Tensor loss = map_mean([](auto a, auto b) { return square(tanh(a) - b); }, x, values);
  const Tensor rows = map_mean([](auto a, auto b) { return square(tanh(a) - b); }, {1}, x, values);
  fmt::print("losses {:.6f} and {:.6f}\n", loss.item(), mean(rows).item());
}
