#pragma once

#include <string>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/serialize.h>

namespace tapegrad::nn {

/// Writes one tensor as NumPy's .npy file (version 1.0, little-endian, row major), which numpy.load reads.
/// The format: NEP 1, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Several under
/// names: save_state with a path that ends in ".npz". The file appears complete or not at all, and links,
/// pipes, devices, modes and owners are treated as AtomicFile (file.h) says.
/// Throws ArgumentError for an undefined tensor, for an element beyond the range of the options' type, and for bf16,
/// which NumPy does not have; FileError where the file cannot be written.
TAPEGRAD_API void save_npy(const std::string& path, const Tensor& tensor, const SaveOptions& options = {});

/// Reads a .npy file of version 1.0, 2.0 or 3.0, of either byte order, row or column major (the tensor is row major).
/// Elements that tensors do not have are widened, all without loss: float16 to f32; booleans (0, 1) and integers of 8
/// to 64 bits to i64. What they were, load_state_file(path).converted tells. Objects are refused, not unpickled; so
/// are structures, texts, complex numbers, and integers above the largest i64. Throws FileError for those, and for a
/// file that is missing, truncated, damaged or of another kind; memory is taken only for elements that are there.
TAPEGRAD_API Tensor load_npy(const std::string& path);

}  // namespace tapegrad::nn
