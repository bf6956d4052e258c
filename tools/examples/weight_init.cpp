// How the initial weights decide what passes a deep network: 1,000 samples through 5 layers of 100 nodes.
// "Deep Learning from Scratch", chapter 6.2.
#include <cmath>
#include <string>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

namespace {

double deviation(const Tensor& x) { return std::sqrt(var(x).item()); }

/// The share of outputs at which the activation is flat: within 0.01 of a bound, or zeros of a relu.
double saturated(const Tensor& y, const std::string& activation) {
  double count = 0;
  for (const float v : y.values<float>())
    count += activation == "relu"      ? v == 0
             : activation == "sigmoid" ? v < 0.01F || v > 0.99F
                                       : std::abs(v) > 0.99F;
  return count / static_cast<double>(y.size());
}

}  // namespace

int main() {
  Generator rng(0);
  const Tensor x = randn({1000, 100}, rng);
  fmt::print(
      "deviation of the outputs of layers 1 ... 5; share of them where the activation is flat (relu: "
      "zeros);\n"
      "deviation of the gradient at layer 1 as a multiple of that at layer 5\n\n");
  for (const std::string activation : {"sigmoid", "tanh", "relu"})
    for (const std::string init : {"std:1", "std:0.01", "xavier", "he"}) {
      nn::MultiLayerNet net(
          100, 10, rng,
          {.hidden = {100, 100, 100, 100, 100}, .activation = activation, .init = nn::Init::parse(init)});
      nn::LayerOutputs layers;
      Tape tape;
      const Tensor loss = sum(square(net(x)));
      const std::vector<Tensor> gradients = layers.gradients(tape, loss);
      std::string spread, flat;
      double first = 0, last = 0;
      for (std::size_t i = 0; i < layers.size(); ++i) {
        if (!layers[i].path.starts_with(activation)) continue;
        spread += fmt::format("{:9.2g}", deviation(layers[i].output));
        flat += fmt::format("{:5.0f} %", 100 * saturated(layers[i].output, activation));
        last = deviation(gradients[i]);
        if (first == 0) first = last;
      }
      fmt::print("{:8} {:9} {}  {}  {:8.2g}\n", activation, init, spread, flat, first / last);
    }
}
