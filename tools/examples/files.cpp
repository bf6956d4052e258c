#include <filesystem>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main() {
  const std::string path = (std::filesystem::temp_directory_path() / "tapegrad_net.npz").string();
  Generator rng(0);
  nn::MultiLayerNet net(4, 3, rng, {.hidden = {8}});
  nn::save_state(path, net.state(), {{"model", net.describe()}});

  const nn::SavedState saved = nn::load_state_file(path);
  nn::MultiLayerNet other(4, 3, rng, {.hidden = {8}});
  other.load_state(saved.tensors);  // all or nothing: names, shapes and dtypes must be the network's
  fmt::print("{}\n", saved.metadata.at("model"));
  for (const auto& [name, tensor] : saved.tensors) fmt::print("{} {}\n", name, tensor.shape());
  std::filesystem::remove(path);
}
