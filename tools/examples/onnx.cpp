#include <filesystem>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main() {
  Generator rng(0);
  nn::Sequential net = nn::simple_conv_net({1, 28, 28}, 10, rng);
  const std::string path = (std::filesystem::temp_directory_path() / "tapegrad_net.onnx").string();
  const Tensor example = Tensor::zeros({1, 1, 28, 28});
  nn::save_onnx(path, net, example);

  const std::unique_ptr<nn::OnnxModel> loaded = nn::load_onnx(path);  // or what another tool wrote
  for (const auto& [name, parameter] : loaded->parameters()) fmt::print("{} {}\n", name, parameter.shape());
  const Tensor images = randn({5, 1, 28, 28}, rng);
  fmt::print("largest difference: {}\n", max(abs(net(images) - (*loaded)(images))).item());

  // A function that calls the network, with names for what goes in and comes out.
  const auto probabilities = [&](const Tensor& x) { return softmax(net(x)); };
  nn::save_onnx(path, net, probabilities, {example},
                {.input_names = {"image"}, .output_names = {"probabilities"}});
  std::filesystem::remove(path);
}
