#pragma once

#include <string>
#include <string_view>

#include <tapegrad/graph/errors.h>
#include <tapegrad/graph/shape.h>
#include <tapegrad/graph/tensor.h>
#include <tapegrad/nn/io/elements.h>
#include <tapegrad/nn/io/serialize.h>

/// The .npy format, wherever its bytes lie. Not part of the library's interface.
namespace tapegrad::nn::npy {

inline constexpr std::string_view kMagic = "\x93NUMPY";

/// A tensor, and the elements that it was read from.
struct Array {
  Tensor tensor;
  files::Element element;
};
/// All of the source as an array. Throws FileError saying what is wrong with it; after an Unrepresentable, elements are
/// left in the source.
Array read(files::ByteSource& source);

/// A file's tensor as a state of one, which is called "tensor".
SavedState load(const std::string& path);

/// Throws ArgumentError of this function.
[[noreturn]] void refuse_bf16(std::string_view function);

/// What precedes the elements of a tensor in a file.
std::string header_of(const Shape& shape, files::Element element);

}  // namespace tapegrad::nn::npy
