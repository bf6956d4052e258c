#pragma once

#include <map>
#include <string>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/nn/state.h>

namespace tapegrad::nn {

/// Free text stored beside the tensors, by key.
using Metadata = std::map<std::string, std::string>;

/// A member of an archive that is no array, or an array of any file that no tensor can hold: of other elements, of more than
/// eight axes, of integers above the largest i64.
struct SkippedMember {
  std::string name;
  std::string reason;  ///< as in "it is a folder"
};

struct SavedState {
  State tensors;  ///< in the order in which they were saved
  Metadata metadata;
  std::vector<SkippedMember> skipped{};  ///< what the file holds beside these
};

/// Writes named tensors: to a path that ends in ".npz" as NumPy's archive of arrays (numpy.load; below),
/// to any other in the safetensors format: the length of the header as a little-endian 64-bit integer, the
/// header as JSON (dtype, shape and place of each tensor; "__metadata__"), the elements
/// (https://github.com/huggingface/safetensors). The file appears complete or not at all, and until then an
/// older one stays; links, pipes, devices, modes and owners are treated as AtomicFile (file.h) says.
/// Throws ArgumentError for a name that is given twice, reserved or not UTF-8, for an undefined tensor and for a
/// path that ends in ".npy" (save_npy), FileError where the file cannot be written.
///
/// An archive is a zip file of one .npy file for each tensor, stored as they are (as by numpy.savez), with a
/// fixed date, so that the same state gives the same bytes. Its comment holds the metadata, as the header of
/// an empty safetensors file. The format has room for 65,535 bytes of it and for as many in a name with its
/// ".npy", which may have no byte 0: ArgumentError otherwise.
TAPEGRAD_API void save_state(const std::string& path, const State& state, const Metadata& metadata = {});

/// Reads such a file; its content tells the format. Elements that tensors do not have are widened, all
/// without loss: 16-bit floats to f32, booleans (0, 1) and other integers to i64. Archives of NumPy may be
/// stored or deflated (numpy.savez, numpy.savez_compressed), their arrays as load_npy takes them. As for numpy.load,
/// a member is an array where its content starts as one, whether or not its name ends in ".npy"; folders, text files and
/// the like are skipped and listed in the result, and so are, in both formats, arrays that no tensor can hold: texts, Python
/// objects, elements of other types, more than eight axes, integers above the largest i64. A member whose name does end in
/// ".npy" must be an array, and of what a file holds something must be read. What
/// is deflated may take 1032 times the file's size in memory, as the format allows. Throws FileError for a file
/// that is missing, truncated, damaged or of another kind, saying what is wrong with which tensor; where the first bytes
/// are those of no format, as the format that the name ends with.
TAPEGRAD_API SavedState load_state_file(const std::string& path);

}  // namespace tapegrad::nn
