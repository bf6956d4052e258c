#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// x + f(x), where f is two convolutions; x goes through one of 1 x 1 where channels or size change.
class ResidualBlock : public nn::Module {
 public:
  ResidualBlock(std::int64_t in, std::int64_t out, std::int64_t stride, Generator& rng)
      : first_(in, out, 3, rng, {.stride = stride, .padding = 1, .bias = false}),
        second_(out, out, 3, rng, {.padding = 1, .bias = false}),
        norm1_(out),
        norm2_(out) {
    if (in != out || stride != 1) shortcut_.append(nn::Conv2d(in, out, 1, rng, {.stride = stride}));
  }
  void visit(nn::Visitor& v) override {
    v("conv1", first_), v("norm1", norm1_), v("conv2", second_), v("norm2", norm2_), v("shortcut", shortcut_);
  }
  Tensor forward(const Tensor& x) override {
    return relu(shortcut_(x) + norm2_(second_(relu(norm1_(first_(x))))));
  }

 private:
  nn::Conv2d first_, second_;
  nn::BatchNorm norm1_, norm2_;
  nn::Sequential shortcut_;
};

int main(int argc, char** argv) {
  const nn::Mnist mnist = nn::load_mnist(argc > 1 ? argv[1] : "tools/data/mnist", {.flatten = false});
  Generator rng(0);
  nn::Sequential net{nn::Conv2d(1, 16, 3, rng, {.padding = 1}),
                     nn::Relu(),
                     nn::MaxPool2d(2),
                     ResidualBlock(16, 16, 1, rng),
                     ResidualBlock(16, 32, 2, rng),
                     nn::GlobalAvgPool(),
                     nn::Affine(32, 10, rng)};
  fmt::print("{}", nn::to_string(nn::summary(net, {1, 28, 28})));
  optim::Adam adam(net.parameters(), 0.003);
  nn::Trainer trainer(net, adam, {.epochs = 3, .batch = 50, .transform = nn::RandomShift(2)});
  trainer.fit(mnist.train);
  fmt::print("test accuracy {:.4f}\n", nn::evaluate(net, mnist.test).metric);
}
