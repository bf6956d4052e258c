#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// The forward pass of a 2-3-2-2 network, layer by layer, and the same as a module.
int main() {
  const Parameter w1(Tensor::from({{0.1, 0.3, 0.5}, {0.2, 0.4, 0.6}}, f64)),
      b1(Tensor::from({0.1, 0.2, 0.3}, f64));
  const Parameter w2(Tensor::from({{0.1, 0.4}, {0.2, 0.5}, {0.3, 0.6}}, f64)),
      b2(Tensor::from({0.1, 0.2}, f64));
  const Parameter w3(Tensor::from({{0.1, 0.3}, {0.2, 0.4}}, f64)), b3(Tensor::from({0.1, 0.2}, f64));
  const Tensor x = Tensor::from({1, 0.5}, f64);

  const Tensor a1 = affine(x, w1, b1);
  const Tensor z1 = sigmoid(a1);
  const Tensor a2 = affine(z1, w2, b2);
  const Tensor z2 = sigmoid(a2);
  const Tensor y = identity(affine(z2, w3, b3));
  fmt::print("A1 {:.8f}\nZ1 {:.8f}\nA2 {:.8f}\nZ2 {:.8f}\nY  {:.8f}\n", a1, z1, a2, z2, y);

  nn::Sequential net{nn::Affine(w1, b1), nn::Sigmoid(), nn::Affine(w2, b2), nn::Sigmoid(),
                     nn::Affine(w3, b3)};
  fmt::print("as a module: {:.8f}, as probabilities: {:.8f}\n", net(x), softmax(net(x)));
}
