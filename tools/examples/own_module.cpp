#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

class Residual : public nn::Module {
 public:
  Residual(std::int64_t width, Generator& rng) : inner_(width, width, rng), outer_(width, width, rng) {}
  void visit(nn::Visitor& v) override { v("inner", inner_), v("outer", outer_); }
  Tensor forward(const Tensor& x) override { return x + outer_(relu(inner_(x))); }

 private:
  nn::Affine inner_, outer_;
};

int main() {
  Generator rng(0);
  nn::Sequential net{nn::Affine(2, 16, rng), nn::Relu(), Residual(16, rng), nn::Affine(16, 1, rng)};
  const Tensor x = Tensor::from({{0, 0}, {0, 1}, {1, 0}, {1, 1}});
  const Tensor t = Tensor::from({0, 1, 1, 0}, Shape{4, 1});
  optim::Adam adam(net.parameters(), 0.01);
  for (int step = 0; step < 300; ++step) {
    Tape tape;
    adam.step(tape.backward(mse_loss(net(x), t)));
  }
  for (const auto& [name, parameter] : net.parameters()) fmt::print("{} {}\n", name, parameter.shape());
  fmt::print("{:.3f}\n", net(x));
}
