#pragma once

#include <cstdint>
#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/train/checkpoint.h>

/// How a trainer uses the folder of its checkpoints. Not part of the library's interface: TrainerOptions says what
/// can be asked for.
namespace tapegrad::nn {

/// Saves it in a folder under the next number, then removes the oldest ones but for `limit`, at least 1. Returns the
/// path. Throws FileError: where nothing could be saved, nothing was removed.
TAPEGRAD_API std::string save_checkpoint_in(const std::string& folder, const Checkpoint& checkpoint,
                                            std::int64_t limit);

/// Throws FileError where that cannot be.
void remove_checkpoint(const std::string& path);

/// Throws FileError where a checkpoint could not be saved there.
TAPEGRAD_API void require_checkpoint_folder(const std::string& folder);

/// Makes the folder and those above it that are missing; their names are durable then. Throws FileError.
void make_durable_folder(const std::string& folder);

}  // namespace tapegrad::nn
