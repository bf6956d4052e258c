#pragma once

#include <string>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/io/serialize.h>
#include <tapegrad/nn/state.h>

namespace tapegrad::nn {

/// All of a training at one moment: Trainer::save writes it, Trainer::resume goes on from it.
///
/// The file is one of save_state, in the safetensors format unless the path ends in ".npz". Its tensors are those of
/// Trainer::state(), the history's columns as "history.NAME" (one number for each report), and "fit.NAME" about the
/// call of fit that was at work. Its metadata are "format" ("tapegrad checkpoint"), "version" ("1"), "checksum", and
/// the settings as "trainer.NAME" and "program.NAME". The checksum is the CRC-32 of all names, shapes, elements and
/// other metadata; every version has it, so that a file of a newer one can be told from one that is damaged.
struct Checkpoint {
  std::string path{};           ///< of the file that was read
  State tensors{};              ///< of the trainer, the history and the call of fit
  Metadata settings{};          ///< the program's own: TrainerOptions::settings
  Metadata trainer_settings{};  ///< the trainer's and the optimizer's, as text
  /// Of a folder: a line for each checkpoint that is newer and cannot be read, which says why.
  std::vector<std::string> unreadable{};
};

/// Writes it: complete and durable, or not at all, as save_state. Throws what that throws.
TAPEGRAD_API void save_checkpoint(const std::string& path, const Checkpoint& checkpoint);

/// Reads a file, or of a folder the newest one of checkpoints_in that can be read. Throws FileError where there is
/// none, where the file is truncated, damaged or no checkpoint (of a folder: all of them), and for a version that is
/// newer than this library, also in a folder: an older file beside it is not what was asked for.
TAPEGRAD_API Checkpoint load_checkpoint(const std::string& path);

/// The checkpoints that trainers have saved in a folder, the newest first: paths of files
/// "checkpoint-NUMBER.safetensors". None where there is no such folder. Throws FileError where the folder cannot be
/// read.
TAPEGRAD_API std::vector<std::string> checkpoints_in(const std::string& folder);

}  // namespace tapegrad::nn
