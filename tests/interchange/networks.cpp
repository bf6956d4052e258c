/// Networks whose weights go to PyTorch and come from there; pytorch.py has the same ones.
/// usage: networks NAME load FROM.pt PREFIX X.npy Y.npy    evaluates x by the weights of a file, names of which have
/// the prefix
///        networks NAME export TO.pt X.npy Y.npy           trains for some steps and saves weights, an input, and its
/// result
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

namespace {

struct Network {
  std::function<nn::Sequential(Generator&)> make;
  Shape input;
};

const std::map<std::string, Network> kNetworks = {
    {"mlp",
     {[](Generator& rng) {
        return nn::Sequential{nn::Affine(6, 8, rng),
                              nn::BatchNorm(8),
                              nn::Relu(),
                              nn::Affine(8, 8, rng),
                              nn::Dropout(0.5, rng),
                              nn::Prelu(8),
                              nn::Affine(8, 3, rng, {.bias = false})};
      },
      {20, 6}}},
    {"cnn",
     {[](Generator& rng) {
        return nn::Sequential{
            nn::Conv2d(2, 4, 3, rng, {.padding = 1}),
            nn::BatchNorm(4),
            nn::Relu(),
            nn::MaxPool2d(2),
            nn::Conv2d(4, 6, 3, rng, {.stride = 2, .padding = 1, .groups = 2, .bias = false}),
            nn::Relu(),
            nn::ConvTranspose2d(6, 4, 2, rng, {.stride = 2}),
            nn::Flatten(),
            nn::Affine(64, 5, rng)};
      },
      {7, 2, 8, 8}}}};

void train(nn::Sequential& net, const Shape& input, Generator& rng) {
  optim::Adam adam(net.parameters(), 0.01);
  for (int step = 0; step < 5; ++step) {
    Tape tape;
    adam.step(tape.backward(mean(square(net(randn(input, rng) * 2 + 1)))));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 5) return 2;
  try {
    const Network& network = kNetworks.at(args[0]);
    Generator rng(3);
    nn::Sequential net = network.make(rng);
    if (args[1] == "load") {
      nn::ForeignRules rules = nn::pytorch_rules();
      rules.prefix = args[3];
      nn::load_foreign(net, nn::load_state_file(args[2]).tensors, rules);
      net.eval();
      nn::save_npy(args[5], net(nn::load_npy(args[4])));
    } else {
      train(net, network.input, rng);
      nn::save_state(args[2], nn::export_pytorch(net));
      net.eval();
      const Tensor x = randn(network.input, rng);
      nn::save_npy(args[3], x);
      nn::save_npy(args[4], net(x));
    }
  } catch (const Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
