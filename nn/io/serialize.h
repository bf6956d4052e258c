#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <tapegrad/graph/dtype.h>
#include <tapegrad/graph/export.h>
#include <tapegrad/nn/state.h>

namespace tapegrad::nn {

/// Free text stored beside the tensors, by key.
using Metadata = std::map<std::string, std::string>;

/// A member of an archive that is no array, or an array of any file that no tensor can hold: of other elements, of
/// more than eight axes, of integers above the largest i64.
struct SkippedMember {
  std::string name;    ///< in the file
  std::string reason;  ///< as in "it is a folder"
};

/// A tensor whose elements are of another type than where they come from; what is converted loses nothing.
struct ConvertedTensor {
  std::string name;  ///< as there
  std::string from;  ///< "f16", "bf16", "f32", "i8", "u8", "i16", "u16", "i32", "u32", "u64" or "bool"
  Dtype to;          ///< what the tensor is of

  friend bool operator==(const ConvertedTensor&, const ConvertedTensor&) = default;
};
/// "'weight' from f16 to f32"
TAPEGRAD_API std::string to_string(const ConvertedTensor& c);

/// What a file holds.
struct SavedState {
  State tensors;                             ///< in the order in which they were saved
  Metadata metadata;                         ///< the texts beside the tensors
  std::vector<SkippedMember> skipped{};      ///< what the file holds beside these
  std::vector<ConvertedTensor> converted{};  ///< which of the tensors the file holds in another type
};

/// The type in which elements of f32 and f64 are written.
enum class SavedFloats : std::uint8_t {
  same,  ///< their own
  f16,   ///< IEEE 754's binary16: 11 significant bits, up to 65504
  bf16   ///< bfloat16: 8 significant bits, the range of f32
};

/// How save_state writes elements.
struct SaveOptions {
  /// Half or a quarter of the bytes, for weights that are done with training. Elements are rounded to the nearest, of
  /// two as near to the even one; a finite one that would become infinite is refused. Reading gives f32.
  SavedFloats floats = SavedFloats::same;
};

/// Writes named tensors: to a path that ends in ".npz" as NumPy's archive of arrays (numpy.load; below),
/// to one that ends in ".pt" or ".pth" as PyTorch's (torch.load; below), to any other in the safetensors format: the
/// length of the header as a little-endian 64-bit integer, the header as JSON (dtype, shape and place of each tensor;
/// "__metadata__"), the elements (https://github.com/huggingface/safetensors). The file appears complete or not at
/// all, and until then an older one stays; links, pipes, devices, modes and owners are treated as AtomicFile (file.h)
/// says. Throws ArgumentError for a name that is given twice, reserved or not UTF-8, for an undefined tensor and for
/// a path that ends in ".npy" (save_npy), for an element beyond the range of the options' type, and for bf16 in
/// ".npz", which NumPy does not have; FileError where the file cannot be written.
///
/// An archive is a zip file of one .npy file for each tensor, stored as they are (as by numpy.savez), with a
/// fixed date, so that the same state gives the same bytes. Its comment holds the metadata, as the header of
/// an empty safetensors file. The format has room for 65,535 bytes of it and for as many in a name with its
/// ".npy", which may have no byte 0: ArgumentError otherwise.
///
/// A PyTorch file is what torch.save makes of an OrderedDict of contiguous tensors, of PyTorch 1.6 and later:
/// torch.load(path, weights_only=True) gives it back. A further member of the archive, "extra/metadata.json", holds the
/// metadata; PyTorch does not look at it. Names and layouts are those of the state: export_pytorch (foreign.h) gives
/// PyTorch's.
TAPEGRAD_API void save_state(const std::string& path, const State& state, const Metadata& metadata = {},
                             const SaveOptions& options = {});

/// Reads such a file, or one of save_npy; its content tells the format. Elements that tensors do not have are widened,
/// all without loss: 16-bit floats to f32, booleans (0, 1) and other integers to i64; the result lists which. Archives
/// of NumPy may be stored or deflated (numpy.savez, numpy.savez_compressed), their arrays as load_npy takes them. As
/// for numpy.load, a member is an array where its content starts as one, whether or not its name ends in ".npy";
/// folders, text files and the like are skipped and listed in the result, and so are, in both formats, arrays that no
/// tensor can hold: texts, Python objects, elements of other types, more than eight axes, integers above the largest
/// i64. A member whose name does end in ".npy" must be an array, and of what a file holds something must be read. What
/// is deflated may take 256 MiB and 100 times the file's size in memory; more is refused, as of files that are made to
/// fill it. Throws FileError for a file that is missing, truncated, damaged or of another kind, saying what is wrong
/// with which tensor; where the first bytes are those of no format, as the format that the name ends with. Throws
/// OutOfMemory where there is no memory for the content.
///
/// Of PyTorch's files, dictionaries within dictionaries, lists and tuples give names with dots: {"model":
/// {"fc.weight": w}, "epoch": 3} has the tensor "model.fc.weight". A tensor that is all there is is called "tensor",
/// and so is that of a .npy file. Views, transposes, negatives and shared storages are read as the tensors that they
/// are; those that are whole storages share their elements here, too. Numbers, texts, booleans, None and lists of
/// these become metadata, as Python writes them: "epoch" is "3", "betas" "(0.9, 0.999)". What else there is (texts of
/// bytes, elements of complex numbers) is skipped and listed. No code of a file is ever run: a pickle that uses any
/// other class or function than tensors need is refused, naming it. So are TorchScript programs and files of PyTorch
/// before 1.6, which are no archives.
TAPEGRAD_API SavedState load_state_file(const std::string& path);

}  // namespace tapegrad::nn
