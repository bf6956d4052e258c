#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <tapegrad/graph/errors.h>

namespace tapegrad::nn::files {

/// What the description in a file may take of memory, its own bytes and the elements of tensors aside. A byte or two of
/// a hostile file can ask for a hundred; a real one names what it describes, beside the elements, and stays far below
/// the limit. Not part of the library's interface.
class MemoryBudget {
 public:
  /// `refusal`: the message of what is thrown.
  MemoryBudget(std::uint64_t file_size, const char* refusal)
      : limit_(kTimes * file_size + kAlways), refusal_(refusal) {}

  /// Throws FileError where all together is more than `kTimes` the file's size and a constant.
  void take(std::size_t bytes) {
    used_ += bytes;
    if (used_ > limit_) throw FileError(refusal_);
  }
  void give(std::size_t bytes) { used_ -= bytes; }

  /// What a text takes beside the object itself.
  static std::size_t room_of(const std::string& text) {
    constexpr std::size_t kInline = 15, kPiece = 17;
    return text.capacity() > kInline ? text.capacity() + kPiece : 0;
  }

 private:
  static constexpr std::uint64_t kTimes = 12;
  static constexpr std::size_t kAlways = std::size_t{1} << 20;

  std::uint64_t limit_;
  std::size_t used_ = 0;
  const char* refusal_;
};

/// What the compressed content of a file may take of memory when it is unpacked. A byte of deflate may be 1032 of
/// zeros, which are as many numbers of 64 bits; arrays that are worth saving stay far below the limit.
class UnpackBudget {
 public:
  explicit UnpackBudget(std::uint64_t file_size) : left_(kTimes * file_size + kAlways) {}

  /// Throws FileError where all together is more than `kTimes` the file's size and a constant.
  void take(std::uint64_t bytes) {
    if (bytes > left_)
      throw FileError(
          "unpacked, it takes more than 64 MiB and 100 times the bytes of the file: it is made to fill "
          "memory, or holds little else than one value; if you trust it, save it uncompressed");
    left_ -= bytes;
  }

 private:
  static constexpr std::uint64_t kTimes = 100;
  static constexpr std::uint64_t kAlways = std::uint64_t{64} << 20;

  std::uint64_t left_;
};

}  // namespace tapegrad::nn::files
