#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tapegrad/graph/export.h>
#include <tapegrad/graph/shape.h>

namespace tapegrad::nn {

/// The content of an IDX file of unsigned bytes, row major.
struct IdxArray {
  Shape shape;                      ///< one to four axes
  std::vector<std::uint8_t> bytes;  ///< the elements
};

/// Reads an IDX file of unsigned bytes with one to four axes, plain or compressed by gzip, which is told by its
/// content. The format: the bytes 0, 0, 8, RANK; RANK sizes as big-endian 32-bit integers; the elements (LeCun,
/// Cortes, Burges: The MNIST Database). Memory is taken only for data that is there, whatever the header says, and of
/// a compressed file for at most 256 MiB and 100 times its size. Throws FileError for a file that is missing, of
/// another kind, truncated, corrupt, longer than announced or larger than that, OutOfMemory where there is no memory
/// for them.
TAPEGRAD_API IdxArray read_idx(const std::string& path);

}  // namespace tapegrad::nn
