#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <tapegrad/graph/tensor.h>

/// The .npy format, wherever its bytes lie. Not part of the library's interface.
namespace tapegrad::nn::npy {

inline constexpr std::string_view kMagic = "\x93NUMPY";

/// Bytes that are read once, from the first to the last.
class Source {
 public:
  virtual ~Source() = default;
  /// How many there are in all.
  virtual std::uint64_t size() const = 0;
  /// The next ones; throws FileError where they cannot be had.
  virtual void read(void* out, std::size_t bytes) = 0;
};

/// All of the source as an array. Throws FileError saying what is wrong with it.
Tensor read(Source& source);

/// What precedes the elements of a tensor in a file.
std::string header_of(const Tensor& tensor);

}  // namespace tapegrad::nn::npy
