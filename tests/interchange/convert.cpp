/// Reads a file of tensors and writes it in the format that the other file's name asks for.
/// usage: convert FROM TO      each .npy, .npz or .safetensors
#include <cstdio>
#include <exception>
#include <string>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string from = argv[1];
  const std::string to = argv[2];
  try {
    nn::SavedState saved;
    if (from.ends_with(".npy"))
      saved.tensors.emplace_back("array", nn::load_npy(from));
    else
      saved = nn::load_state_file(from);
    if (to.ends_with(".npy"))
      nn::save_npy(to, saved.tensors.at(0).second);
    else
      nn::save_state(to, saved.tensors, saved.metadata);
  } catch (const Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
