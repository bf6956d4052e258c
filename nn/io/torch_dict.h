#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <tapegrad/graph/shape.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/pickle.h>
#include <tapegrad/nn/io/serialize.h>

/// What the pickle of a PyTorch file says: names, and where their elements lie. Not part of the library's interface.
namespace tapegrad::nn::torch_file {

/// Elements [offset + sum of index[i] * strides[i]] of a storage, or these with the other sign.
struct TensorView {
  std::string name;
  std::string storage;  ///< the name of its member of the archive
  files::Element element{};
  std::uint64_t storage_size = 0;  ///< in elements
  std::int64_t offset = 0;
  Shape shape{};
  std::vector<std::int64_t> strides{};
  bool negative = false;
};

struct Contents {
  std::deque<TensorView> tensors;  ///< in the order of the dictionary, each within its storage
  Metadata metadata;
  std::vector<SkippedMember> skipped;
};

/// Dictionaries within dictionaries give dotted names; serialize.h says what becomes of values that are no tensors.
/// Throws FileError where the pickle holds no tensors by name, or where what it says of one is impossible.
Contents read_dict(const pickle::Document& document);

}  // namespace tapegrad::nn::torch_file
