#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main() {
  Generator rng(0);
  nn::MultiLayerNet net(100, 10, rng, {.hidden = {100, 100, 100}, .activation = "sigmoid"});
  const Tensor x = randn({500, 100}, rng);
  const Tensor t = integers({500}, rng, 0, 10);

  nn::LayerOutputs layers;  // sees every module that is called while it lives
  Tape tape;
  const Tensor loss = softmax_with_loss(net(x), t);
  const std::vector<Tensor> gradients = layers.gradients(tape, loss);
  for (std::size_t i = 0; i < layers.size(); ++i)
    fmt::print("{:9} {} mean {:6.3f}, stddev {:.3f}, largest gradient {:.1e}\n", layers[i].path,
               layers[i].output.shape(), mean(layers[i].output).item(), sqrt(var(layers[i].output)).item(),
               max(abs(gradients[i])).item());
}
