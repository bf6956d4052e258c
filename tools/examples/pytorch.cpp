#include <filesystem>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

// torch.nn.Sequential(Conv2d(1, 8, 3), BatchNorm2d(8), ReLU(), MaxPool2d(2), Flatten(), Linear(1352, 10))
nn::Sequential make_net(Generator& rng) {
  return nn::Sequential{nn::Conv2d(1, 8, 3, rng), nn::BatchNorm(8), nn::Relu(),
                        nn::MaxPool2d(2),         nn::Flatten(),    nn::Affine(8 * 13 * 13, 10, rng)};
}

int main() {
  const std::string path = (std::filesystem::temp_directory_path() / "tapegrad_net.pt").string();
  Generator rng(0);
  nn::Sequential net = make_net(rng);
  nn::save_state(path,
                 nn::export_pytorch(net));  // model.load_state_dict(torch.load(path, weights_only=True))

  nn::Sequential other = make_net(rng);
  const nn::SavedState saved =
      nn::load_state_file(path);  // or what torch.save(model.state_dict(), path) wrote
  nn::load_foreign(other, saved.tensors);
  for (const auto& [name, tensor] : saved.tensors) fmt::print("{} {}\n", name, tensor.shape());
  const Tensor x = randn({1, 1, 28, 28}, rng);
  fmt::print("largest difference: {}\n", max(abs(net(x) - other(x))).item());
  std::filesystem::remove(path);
}
