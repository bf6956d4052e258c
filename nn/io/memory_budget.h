#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tapegrad/graph/errors.h>

#include <fmt/format.h>

namespace tapegrad::nn::files {

/// Bytes that may be taken for what a file holds: so many times its size, and a constant.
struct MemoryLimit {
  std::uint64_t times;
  std::uint64_t constant;

  constexpr std::uint64_t of(std::uint64_t file_size) const { return times * file_size + constant; }
};

/// Of the description in a file, the elements of tensors aside. A byte or two of a hostile file can ask for a hundred;
/// a real one names what it describes, beside the elements, and stays far below the limit.
inline constexpr MemoryLimit kOfDescription{12, std::uint64_t{1} << 20};

/// Of compressed elements, which a byte of deflate may be a thousand of, each eight bytes as a number. Masks and tables
/// of zeros and ones are packed as well as that, and have to be read; but no file of a few kilobytes fills the memory.
inline constexpr MemoryLimit kOfCompressed{100, std::uint64_t{256} << 20};

/// "its {what} would take more memory than ...": why such content is refused, and what to do about it.
inline std::string refusal_of_compressed(std::string_view what, std::string_view advice) {
  return fmt::format(
      "its {} would take more memory than {} MiB and {} times the bytes of the compressed file: it may "
      "be made to fill memory; if you trust it, {}",
      what, kOfCompressed.constant >> 20, kOfCompressed.times, advice);
}

/// What has been taken of such a limit. Not part of the library's interface.
class MemoryBudget {
 public:
  /// `refusal`: the message of what is thrown.
  MemoryBudget(std::uint64_t file_size, std::string refusal, MemoryLimit limit = kOfDescription)
      : limit_(limit.of(file_size)), refusal_(std::move(refusal)) {}

  /// Throws FileError where all together is more than the limit.
  void take(std::uint64_t bytes) {
    if (bytes > limit_ - used_) throw FileError(refusal_);
    used_ += bytes;
  }
  void give(std::uint64_t bytes) { used_ -= bytes; }

  /// What a text takes beside the object itself.
  static std::size_t room_of(const std::string& text) {
    constexpr std::size_t kInline = 15, kPiece = 17;
    return text.capacity() > kInline ? text.capacity() + kPiece : 0;
  }

 private:
  std::uint64_t limit_;
  std::uint64_t used_ = 0;
  std::string refusal_;
};

}  // namespace tapegrad::nn::files
