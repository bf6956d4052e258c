#include <tapegrad/graph/errors.h>

#include "fuzz.h"
#include "tiny_training.h"

using namespace tapegrad;

namespace {

/// Those that the training's own checkpoint has.
const nn::Metadata& own_settings() {
  static const nn::Metadata settings = [] {
    const std::string path = fuzz::output_path(".safetensors");
    fuzz::TinyTraining().trainer.save(path);
    return nn::load_checkpoint(path).trainer_settings;
  }();
  return settings;
}

}  // namespace

/// A checkpoint of a training. What has another checksum is refused before a trainer sees it; so that what trainers
/// check is tried as well, any named tensors are given to one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::InputBytes file({reinterpret_cast<const char*>(data), size});
  try {
    const nn::Checkpoint loaded = nn::load_checkpoint(file.path());
    const std::string path = fuzz::output_path(".safetensors");
    nn::save_checkpoint(path, loaded);
    const nn::Checkpoint again = nn::load_checkpoint(path);
    fuzz::require_same({loaded.tensors, loaded.settings}, {again.tensors, again.settings});
    fuzz::require(loaded.trainer_settings == again.trainer_settings, "the trainer's settings come back");
  } catch (const FileError&) {
  }
  nn::Checkpoint given;
  try {
    given.tensors = nn::load_state_file(file.path()).tensors;
  } catch (const FileError&) {
    return 0;
  }
  given.trainer_settings = own_settings();
  fuzz::TinyTraining t;
  const nn::State before = t.trainer.state();
  try {
    t.trainer.resume(given);
  } catch (const Error&) {
    fuzz::require_same({before, {}}, {t.trainer.state(), {}});
    return 0;
  }
  try {
    t.fit();
  } catch (const Error&) {  // data of another size, updates that cannot be counted
  }
  return 0;
}
