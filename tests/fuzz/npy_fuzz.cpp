#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/nn/io/npy.h>

#include "fuzz.h"

using namespace tapegrad;

/// Arrays: the header is a dictionary with a dtype and a shape as text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::InputBytes input({reinterpret_cast<const char*>(data), size});
  try {
    const Tensor loaded = nn::load_npy(input.path());
    const std::string path = fuzz::output_path(".npy");
    nn::save_npy(path, loaded);
    fuzz::require_same(loaded, nn::load_npy(path));
  } catch (const FileError&) {
  }
  return 0;
}
