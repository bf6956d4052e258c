/// Reads a file of tensors and writes it in the format that the other file's name asks for.
/// usage: convert FROM TO [f16|bf16]      each .npy, .npz, .pt or .safetensors; floats are saved as these
#include <cstdio>
#include <exception>
#include <string>

#include <tapegrad/tapegrad.h>

#include <fmt/core.h>

using namespace tapegrad;

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  const std::string from = argv[1];
  const std::string to = argv[2];
  const std::string floats = argc > 3 ? argv[3] : "";
  const nn::SaveOptions options{.floats = floats == "f16"    ? nn::SavedFloats::f16
                                          : floats == "bf16" ? nn::SavedFloats::bf16
                                                             : nn::SavedFloats::same};
  try {
    const nn::SavedState saved = nn::load_state_file(from);
    if (to.ends_with(".npy"))
      nn::save_npy(to, saved.tensors.at(0).second, options);
    else
      nn::save_state(to, saved.tensors, saved.metadata, options);
  } catch (const Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
